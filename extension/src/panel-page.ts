import { randomBytes } from "node:crypto";
import { Disposable, env, l10n, Uri, type WebviewPanel, window } from "vscode";
import { messageOf } from "./language-client";
import { panelHtml, stringsOf } from "./panel-html";

export interface PanelPageOptions<Message> {
  extensionUri: Uri;
  /** Of its script and its style among the built webviews. */
  name: string;
  title: string;
  /** What the page may say; loaded once it says something. */
  schema: () => Promise<{
    safeParse(message: unknown): { success: true; data: Message } | { success: false };
  }>;
  receive: (message: Message) => Promise<unknown>;
  /** A hidden page is thrown away by the editor; its successor says that it is ready. */
  onHidden: () => void;
}

/**
 * Puts one of the extension's pages into a panel: title, icon, the page's own files and nothing else, its messages validated.
 * What goes wrong when one is handled is told to the person.
 */
export function showPage<Message>(panel: WebviewPanel, options: PanelPageOptions<Message>): Disposable {
  const webviews = Uri.joinPath(options.extensionUri, "dist", "webviews");
  const { webview } = panel;
  const receive = async (message: unknown): Promise<void> => {
    const parsed = (await options.schema()).safeParse(message);
    if (!parsed.success) return;
    try {
      await options.receive(parsed.data);
    } catch (error) {
      void window.showErrorMessage(messageOf(error));
    }
  };
  panel.title = options.title;
  panel.iconPath = {
    light: Uri.joinPath(options.extensionUri, "images", "panel-light.svg"),
    dark: Uri.joinPath(options.extensionUri, "images", "panel-dark.svg"),
  };
  webview.options = { enableScripts: true, localResourceRoots: [webviews] };
  const listening = Disposable.from(
    webview.onDidReceiveMessage((message: unknown) => void receive(message)),
    panel.onDidChangeViewState(() => {
      if (!panel.visible) options.onHidden();
    }),
  );
  // Last: the page speaks as soon as it is there.
  webview.html = panelHtml({
    script: webview.asWebviewUri(Uri.joinPath(webviews, `${options.name}.js`)).toString(),
    style: webview.asWebviewUri(Uri.joinPath(webviews, `${options.name}.css`)).toString(),
    cspSource: webview.cspSource,
    nonce: randomBytes(16).toString("base64url"),
    title: options.title,
    locale: env.language,
    messages: stringsOf(l10n.bundle),
  });
  return listening;
}
