import { randomUUID } from "node:crypto";
import { commands, type Disposable, l10n, window } from "vscode";
import {
  generatedNotification,
  generateRequest,
  type PromptSource,
  type Refusal,
} from "../../../language-server/src/protocol";
import type { Formats } from "../format";
import { messageOf, type ServerConnection } from "../language-client";
import { isRefusal, showRefusal } from "../reveal";
import type { RunList } from "../runs/run-list";
import { withServerProgress } from "../server-progress";
import { isTrusted } from "../trust";
import { type AnswerPage, AnswerPages } from "./answer-pages";
import { chooseModel, nameOf } from "./choose-model";
import { choosePrompts } from "./choose-prompts";

/** Asks a run or a model, and shows its answers while they are written. */
export class Generation implements Disposable {
  readonly #pages = new AnswerPages();
  /** Pages by job; one is opened when the first word for it comes, so that nothing opens for what is refused. */
  readonly #jobs = new Map<string, { name: string; page?: Promise<AnswerPage> }>();

  constructor(
    private readonly server: ServerConnection,
    private readonly list: RunList,
    private readonly formats: Formats,
  ) {
    server.onNotification(generatedNotification, ({ job, events }) => {
      const known = this.#jobs.get(job);
      if (known === undefined) return;
      if (known.page === undefined) {
        known.page = this.#pages.open(known.name);
        // Told where the job ends; until then nobody waits for it.
        known.page.catch(() => undefined);
      }
      void known.page.then((page) => page.add(events)).catch(() => undefined);
    });
  }

  /** @param argument a run of the tree, or the path of one */
  async start(argument: unknown): Promise<void> {
    if (!(await isTrusted(l10n.t("Generating starts a program, so it needs a trusted workspace.")))) return;
    const editor = window.activeTextEditor;
    const model = await chooseModel(argument, this.list, this.formats);
    if (model === undefined) return;
    const prompts = await choosePrompts(editor);
    if (prompts !== undefined) await this.#answer(model, prompts);
  }

  async #answer(model: string, prompts: PromptSource): Promise<void> {
    const job = randomUUID();
    const name = nameOf(model);
    const page: { name: string; page?: Promise<AnswerPage> } = { name };
    this.#jobs.set(job, page);
    let note: string | undefined;
    try {
      const answer = await withServerProgress(
        this.server,
        l10n.t("Generating with {0}", name),
        true,
        (workDoneToken, token) =>
          this.server.request(generateRequest, { model, prompts, job, workDoneToken }, token),
      );
      if (answer === undefined) note = l10n.t("Cancelled");
      else if (isRefusal(answer)) {
        note = answer.refused;
        void this.#refused(answer);
      }
    } catch (error) {
      note = messageOf(error);
      void this.#refused({ refused: l10n.t("The prompts could not be answered: {0}", note) });
    } finally {
      this.#jobs.delete(job);
      (await page.page)?.end(note);
    }
  }

  async #refused(refusal: Refusal): Promise<void> {
    if (refusal.location !== undefined) return showRefusal(refusal);
    const showLog = l10n.t("Show Log");
    if ((await window.showErrorMessage(refusal.refused, showLog)) === showLog) {
      await commands.executeCommand("ziptie.showLog");
    }
  }

  dispose(): void {
    this.#pages.dispose();
  }
}
