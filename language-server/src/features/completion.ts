import { readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type CompletionItem, CompletionItemKind, type Position } from "vscode-languageserver";
import type { TextDocument } from "vscode-languageserver-textdocument";
import { builtInTemplateNames } from "../templates/template";
import { configLanguageService } from "./config-language-service";
import type { ServerContext } from "./context";
import { kindOf } from "./document-kinds";
import { pathOfUri } from "./open-documents";

/** Keys and values of a training config, from its schema; built-in templates and files where a path stands. */
export function register({ connection, documents }: ServerContext): void {
  connection.onCompletion(async ({ textDocument, position }): Promise<CompletionItem[]> => {
    const document = documents.get(textDocument.uri);
    if (!document || kindOf(document) !== "training-config") return [];
    const paths = pathItems(document, position);
    if (paths) return paths;
    return (await (await configLanguageService()).complete(document, position))
      .filter(isOffer)
      .map(withMarkdown);
  });
}

/** The YAML service also offers skeletons and placeholders, which stand for no key. */
function isOffer({ label, kind }: CompletionItem): boolean {
  return kind !== CompletionItemKind.Snippet && !["object", "array", "item", "property"].includes(label);
}

function withMarkdown(item: CompletionItem): CompletionItem {
  const { documentation } = item;
  if (typeof documentation !== "string") return item;
  return { ...item, documentation: { kind: "markdown", value: documentation } };
}

interface PathKey {
  /** What a file's name must look like; folders are always offered. */
  readonly files: RegExp;
  readonly names?: readonly string[];
}

const dataset: PathKey = { files: /\.(jsonl|json)$/ };
const pathKeys: Readonly<Record<string, PathKey>> = {
  model_name_or_path: { files: /\.ziptie\.ya?ml$/ },
  tokenizer_name_or_path: { files: /^tokenizer.*\.json$/ },
  chat_template_path: { files: /\.jinja2?$/, names: builtInTemplateNames },
  dataset,
  eval_dataset: dataset,
  path: dataset,
  bench: dataset,
  output_dir: { files: /^$/ },
};

/** What may stand where a path does; null where none does. */
function pathItems(document: TextDocument, position: Position): CompletionItem[] | null {
  const line = document.getText({ start: { line: position.line, character: 0 }, end: position });
  const match = /^(?:\s*-\s+)?\s*(?:([a-z_]+):\s+)?(?:-\s+)?(["']?)([^"'#{}[\],]*)$/.exec(line);
  if (!match) return null;
  const [, writtenKey, , written = ""] = match;
  const isItem = /^\s*-\s/.test(line);
  const name = writtenKey ?? (isItem ? listKey(document, position.line) : null);
  const key = name === null ? undefined : Object.hasOwn(pathKeys, name) ? pathKeys[name] : undefined;
  // A list item without a key may also become a mapping: its keys are the schema's to offer.
  if (!key || (writtenKey === undefined && written === "")) return null;
  const config = pathOfUri(document.uri);
  const slash = written.lastIndexOf("/") + 1;
  const range = {
    start: { line: position.line, character: position.character - (written.length - slash) },
    end: position,
  };
  const item = (label: string, kind: CompletionItemKind, sort: string): CompletionItem => ({
    label,
    kind,
    sortText: `${sort}${label}`,
    textEdit: { range, newText: label },
  });
  const items =
    slash === 0
      ? (key.names ?? []).map((template) => item(template, CompletionItemKind.EnumMember, "0"))
      : [];
  if (config === null) return items;
  const folder = resolve(dirname(config), written.slice(0, slash));
  for (const entry of entriesOf(folder)) {
    if (entry.name.startsWith(".") || join(folder, entry.name) === config) continue;
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules") items.push(item(entry.name, CompletionItemKind.Folder, "2"));
    } else if (key.files.test(entry.name)) items.push(item(entry.name, CompletionItemKind.File, "1"));
  }
  return items;
}

/** The key that a list's items belong to. */
function listKey(document: TextDocument, line: number): string | null {
  for (let above = line - 1; above >= 0; above--) {
    const text = document.getText({
      start: { line: above, character: 0 },
      end: { line: above + 1, character: 0 },
    });
    const match = /^\s*([a-z_]+):\s*(#.*)?$/.exec(text.trimEnd());
    if (match) return match[1] ?? null;
    if (!/^\s*(-.*|#.*|\s.*)?$/.test(text.trimEnd())) return null;
  }
  return null;
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).slice(0, 1000);
  } catch {
    return [];
  }
}
