import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { panelHtml } from "../../extension/src/panel-html";
import { type ThemeName, themes } from "./themes";

/** A panel's bundle, made from the sources as they are. */
async function bundle(panel: string): Promise<Map<string, { type: string; text: string }>> {
  const { outputFiles } = await build({
    entryPoints: { [panel]: `webviews/src/${panel}/main.ts` },
    bundle: true,
    write: false,
    outdir: "out",
    format: "iife",
    target: "chrome128",
    logLevel: "silent",
  });
  const types: Record<string, string> = { js: "text/javascript", css: "text/css" };
  return new Map(
    outputFiles.map(({ path, text }) => {
      const name = path.slice(path.lastIndexOf("/"));
      return [name, { type: types[name.slice(name.lastIndexOf(".") + 1)] ?? "text/plain", text }];
    }),
  );
}

export interface PanelServer {
  panel: string;
  origin: string;
  close(): Promise<void>;
}

/**
 * Serves a panel's page as the extension writes it, under the same content security policy.
 * @param panel its folder in `webviews/src`
 */
export async function servePanel(
  panel: string,
  messages: Record<string, string> = {},
  locale = "en",
): Promise<PanelServer> {
  const files = await bundle(panel);
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? "");
    if (file !== undefined) {
      response.setHeader("content-type", `${file.type}; charset=utf-8`);
      response.end(file.text);
    } else {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(
        panelHtml({
          script: `/${panel}.js`,
          style: `/${panel}.css`,
          cspSource: "'self'",
          nonce: "bm9uY2U",
          title: panel,
          locale,
          messages,
        }),
      );
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    panel,
    origin: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** The panel's page in a browser, with a host that the test speaks for. */
export class PanelPage<Input, Output> {
  private constructor(
    readonly page: Page,
    readonly panel: string,
    /** What went wrong in the page: exceptions and violations of the content security policy. */
    readonly errors: string[],
  ) {}

  static async open<Input, Output>(
    browser: Browser,
    server: PanelServer,
    options: {
      theme?: ThemeName;
      state?: unknown;
      width?: number;
      height?: number;
      deviceScaleFactor?: number;
    } = {},
  ): Promise<PanelPage<Input, Output>> {
    const page = await browser.newPage({
      viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
      deviceScaleFactor: options.deviceScaleFactor ?? 1,
    });
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    await page.addInitScript((state) => {
      const host = { messages: [] as unknown[], state };
      Object.assign(window, {
        host,
        acquireVsCodeApi: () => ({
          postMessage: (message: unknown) => host.messages.push(message),
          getState: () => host.state,
          setState: (next: unknown) => {
            host.state = next;
          },
        }),
      });
    }, options.state);
    const { bodyClass, variables } = themes[options.theme ?? "dark"];
    await page.addInitScript(
      ([className, entries]) => {
        // As VS Code does: the root's style and the body's class are there before the page's own script runs.
        new MutationObserver((_, observer) => {
          if (document.body === null) return;
          for (const [name, value] of entries) document.documentElement.style.setProperty(name, value);
          document.body.className = className;
          document.body.dataset.vscodeThemeKind = className;
          observer.disconnect();
        }).observe(document, { childList: true, subtree: true });
      },
      [bodyClass, Object.entries(variables)] as const,
    );
    await page.goto(server.origin);
    await page.waitForFunction(() => (window as unknown as Host).host.messages.length > 0);
    return new PanelPage<Input, Output>(page, server.panel, errors);
  }

  async send(message: Input): Promise<void> {
    await this.page.evaluate((data: unknown) => {
      window.postMessage(data, "*");
      // Two frames: one for the message to arrive and be laid out, one for the charts to be drawn.
      return new Promise((resolve) => {
        setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      });
    }, message as unknown);
  }

  /** What the page has told its host so far. */
  async sent(): Promise<Output[]> {
    return (await this.page.evaluate(() => (window as unknown as Host).host.messages)) as Output[];
  }

  state(): Promise<unknown> {
    return this.page.evaluate(() => (window as unknown as Host).host.state);
  }

  async setTheme(name: ThemeName): Promise<void> {
    const { bodyClass, variables } = themes[name];
    await this.page.evaluate(
      ([className, entries]) => {
        document.documentElement.removeAttribute("style");
        for (const [key, value] of entries) document.documentElement.style.setProperty(key, value);
        document.body.className = className;
        document.body.dataset.vscodeThemeKind = className;
        return new Promise((resolve) => {
          requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        });
      },
      [bodyClass, Object.entries(variables)] as const,
    );
  }

  async screenshot(name: string): Promise<void> {
    await this.page.screenshot({ path: `dist/screenshots/${this.panel}-${name}.png` });
  }

  close(): Promise<void> {
    return this.page.close();
  }
}

interface Host {
  host: { messages: unknown[]; state: unknown };
}
