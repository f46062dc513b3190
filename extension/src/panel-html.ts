export interface PanelHtmlOptions {
  script: string;
  style: string;
  /** What the webview's own files are served from, for the content security policy. */
  cspSource: string;
  /** Fresh for every page. */
  nonce: string;
  title: string;
  /** BCP 47, for numbers and `lang`. */
  locale: string;
  /** Translations by English message; empty for English. */
  messages: Record<string, string>;
}

const escapeAttribute = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/**
 * A panel's page. Nothing is inline, so the policy can forbid everything but the panel's own script and style. The
 * toolkit finds the nonce in `csp-nonce`: it probes the browser with a style element of its own.
 */
export function panelHtml(options: PanelHtmlOptions): string {
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${options.nonce}'`,
    `style-src ${options.cspSource} 'nonce-${options.nonce}'`,
    `font-src ${options.cspSource}`,
    `img-src ${options.cspSource} data:`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="${escapeAttribute(options.locale)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${escapeAttribute(policy)}">
<meta property="csp-nonce" content="${options.nonce}">
<title>${escapeAttribute(options.title)}</title>
<link rel="stylesheet" href="${escapeAttribute(options.style)}">
</head>
<body data-messages="${escapeAttribute(JSON.stringify(options.messages))}">
<main id="panel"></main>
<script type="module" nonce="${options.nonce}" src="${escapeAttribute(options.script)}"></script>
</body>
</html>`;
}

/** The strings of an l10n bundle; entries with comments are reduced to their message. */
export function stringsOf(
  bundle: Record<string, string | { message: string }> | undefined,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(bundle ?? {}).map(([key, value]) => [
      key,
      typeof value === "string" ? value : value.message,
    ]),
  );
}
