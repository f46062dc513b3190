import type { CompletionItem, Hover, Position } from "vscode-languageserver";
import type { TextDocument } from "vscode-languageserver-textdocument";
import { getLanguageService, type LanguageService } from "yaml-language-server";
import { z } from "zod";
import { trainingConfigSchema } from "./schema";

/** What the editor knows the schema by; nothing is fetched from it. */
const schemaUri = "ziptie://schemas/training-config";

/** The schema of `*.ziptie.yaml` as JSON Schema draft 7. */
export function trainingConfigJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(trainingConfigSchema, {
    io: "input",
    target: "draft-7",
    // VS Code's own field for descriptions in Markdown; a plain `description` would be escaped.
    override: ({ jsonSchema }) => {
      if (jsonSchema.description !== undefined) jsonSchema.markdownDescription = jsonSchema.description;
    },
  });
}

/** Completion and hover over a training config, from the one schema. Does no input or output. */
export class ConfigLanguageService {
  readonly #service: LanguageService;

  /** @param ruleIds offered as keys of `rules:` */
  constructor(ruleIds: readonly string[] = []) {
    this.#service = getLanguageService({
      schemaRequestService: () => Promise.reject(new Error("No schema is fetched.")),
      workspaceContext: { resolveRelativePath: (relative) => relative },
    });
    this.#service.configure({
      validate: false,
      hover: true,
      completion: true,
      hoverSchemaSource: false,
      // The value is the person's to choose; the default is in the documentation.
      disableDefaultProperties: true,
      yamlVersion: "1.2",
      schemas: [{ uri: schemaUri, fileMatch: ["*"], schema: withRules(trainingConfigJsonSchema(), ruleIds) }],
    });
  }

  async complete(document: TextDocument, position: Position): Promise<CompletionItem[]> {
    const { items } = await this.#service.doComplete(document, position, false);
    return items;
  }

  async hover(document: TextDocument, position: Position): Promise<Hover | null> {
    return this.#service.doHover(document, position);
  }
}

function withRules(schema: z.core.JSONSchema.BaseSchema, ruleIds: readonly string[]): unknown {
  const rules = schema.properties?.rules;
  if (typeof rules !== "object") return schema;
  const severity = rules.additionalProperties;
  const properties = Object.fromEntries(ruleIds.map((id) => [id, severity]));
  return { ...schema, properties: { ...schema.properties, rules: { ...rules, properties } } };
}
