import {
  CancellationTokenSource,
  l10n,
  type QuickPickItem,
  QuickPickItemKind,
  ThemeIcon,
  window,
  workspace,
} from "vscode";
import {
  type FoundTokenizer,
  findTokenizersRequest,
  type TokenizerChoice,
} from "../../../language-server/src/protocol";
import { messageOf, type ServerConnection } from "../language-client";
import { configFiles, notOurs } from "../training/configs";
import type { ChosenTokenizers } from "./chosen-tokenizers";

const tokenizerFiles = "**/{tokenizer.json,tokenizer.model,*tokenizer.json,*.tiktoken}";
const maxFiles = 200;

interface Item extends QuickPickItem {
  tokenizer?: TokenizerChoice;
  browse?: boolean;
}

const showButton = {
  iconPath: new ThemeIcon("eye"),
  tooltip: l10n.t("Draw this tokenizer's tokens in the text"),
};

/** Lets the person choose any number of tokenizers. False: given up. */
export async function chooseTokenizers(server: ServerConnection, chosen: ChosenTokenizers): Promise<boolean> {
  const pick = window.createQuickPick<Item>();
  const searching = new CancellationTokenSource();
  let shown = chosen.shown?.path;
  /** Chosen before, or browsed for: on the list whatever the search finds. */
  let added: TokenizerChoice[] = [...chosen.tokenizers];
  let found: FoundTokenizer[] = [];
  let isOpen = true;

  const show = (selected: readonly TokenizerChoice[]) => {
    const item = (tokenizer: TokenizerChoice, origin?: string): Item => ({
      label: tokenizer.path === shown ? `${tokenizer.name} $(eye)` : tokenizer.name,
      description: origin === undefined ? "" : origin,
      detail: workspace.asRelativePath(tokenizer.path),
      buttons: [showButton],
      tokenizer,
    });
    const others = found.filter(({ path }) => added.every((each) => each.path !== path));
    const separator = (label: string): Item => ({ label, kind: QuickPickItemKind.Separator });
    const origins = {
      config: l10n.t("named by a config"),
      setting: l10n.t("named by the settings"),
      file: l10n.t("file in the workspace"),
      package: l10n.t("npm package"),
    };
    const items: Item[] = [
      ...(added.length > 0 ? [separator(l10n.t("chosen"))] : []),
      ...added.map((tokenizer) => item(tokenizer)),
      ...(others.length > 0 ? [separator(l10n.t("found"))] : []),
      ...others.map(({ origin, ...tokenizer }) => item(tokenizer, origins[origin])),
      separator(""),
      { label: `$(folder-opened) ${l10n.t("Browse for a Tokenizer…")}`, browse: true, alwaysShow: true },
    ];
    pick.items = items;
    pick.selectedItems = items.filter(({ tokenizer }) =>
      selected.some(({ path }) => path === tokenizer?.path),
    );
  };
  const selection = () => pick.selectedItems.flatMap(({ tokenizer }) => tokenizer ?? []);

  pick.title = l10n.t("Choose Tokenizers to Compare");
  pick.placeholder = l10n.t("The eye marks the one whose tokens are drawn");
  pick.canSelectMany = true;
  pick.matchOnDetail = true;
  pick.busy = true;
  show(added);
  pick.show();

  findTokenizers(server, searching).then(
    (tokenizers) => {
      if (!isOpen) return;
      found = tokenizers;
      pick.busy = false;
      show(selection());
    },
    () => {
      if (isOpen) pick.busy = false;
    },
  );

  pick.onDidTriggerItemButton(({ item: { tokenizer } }) => {
    if (tokenizer === undefined) return;
    shown = tokenizer.path;
    const selected = selection();
    show(selected.some(({ path }) => path === shown) ? selected : [...selected, tokenizer]);
  });
  let browsing = false;
  let selectedBefore = 0;
  pick.onDidChangeSelection(async (items) => {
    // Ticking everything at once is no wish to browse.
    const isOne = items.length === selectedBefore + 1;
    selectedBefore = items.length;
    if (browsing || !isOne || !items.some(({ browse }) => browse)) return;
    browsing = true;
    const selected = selection();
    pick.ignoreFocusOut = true;
    const browsed = await browse(server).catch((error: unknown) => {
      void window.showErrorMessage(messageOf(error));
      return [];
    });
    added = [...added, ...browsed.filter(({ path }) => added.every((each) => each.path !== path))];
    show([...selected, ...browsed]);
    pick.ignoreFocusOut = false;
    pick.show();
    browsing = false;
  });

  const accepted = await new Promise<boolean>((resolve) => {
    pick.onDidAccept(() => {
      const selected = selection();
      chosen.choose(selected, selected.some(({ path }) => path === shown) ? shown : selected[0]?.path);
      resolve(true);
    });
    pick.onDidHide(() => {
      if (!browsing) resolve(false);
    });
  });
  // What is still being searched for is not waited for.
  isOpen = false;
  searching.cancel();
  pick.dispose();
  searching.dispose();
  return accepted;
}

async function findTokenizers(
  server: ServerConnection,
  { token }: CancellationTokenSource,
): Promise<FoundTokenizer[]> {
  const [configs, files] = await Promise.all([
    workspace.findFiles(configFiles, notOurs, maxFiles, token),
    workspace.findFiles(tokenizerFiles, notOurs, maxFiles, token),
  ]);
  if (token.isCancellationRequested) return [];
  const paths = (uris: typeof files) =>
    uris.filter(({ scheme }) => scheme === "file").map(({ fsPath }) => fsPath);
  const params = { configs: paths(configs), files: paths(files), elsewhere: true };
  return server.request(findTokenizersRequest, params, token);
}

async function browse(server: ServerConnection): Promise<TokenizerChoice[]> {
  const uris = await window.showOpenDialog({
    title: l10n.t("Choose Tokenizers to Compare"),
    canSelectMany: true,
    filters: { [l10n.t("Tokenizers")]: ["json", "model", "tiktoken", "cjs"] },
  });
  if (uris === undefined) return [];
  const files = uris.map(({ fsPath }) => fsPath);
  const found = await server.request(findTokenizersRequest, { configs: [], files, elsewhere: false });
  return found.map(({ name, path }) => ({ name, path }));
}
