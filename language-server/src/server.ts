import { createConnection, ProposedFeatures } from "vscode-languageserver/node";
import { serve } from "./features/language-server";
import { launchWorkerThread } from "./features/worker-thread";

serve(createConnection(ProposedFeatures.all), launchWorkerThread);
