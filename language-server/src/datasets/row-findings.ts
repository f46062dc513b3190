import {
  innerSpan,
  type JsonNode,
  type JsonObject,
  type JsonProperty,
  property,
} from "../documents/json-tree";
import type { Finding, FindingFix, Span } from "../text/span";
import type { Content, ContentPiece } from "./conversation";
import { nearest } from "./format";

/** Collects what is wrong with one row while it is read. */
export class RowFindings {
  readonly list: Finding[] = [];
  /** Why the row cannot be made an example although nothing is wrong with it, e.g. an image in it. */
  unsupported: string | undefined;

  add(rule: string, span: Span, message: string, fix?: FindingFix): void {
    this.list.push({
      rule,
      span: { start: span.start, end: span.end },
      message,
      ...(fix && { fixes: [fix] }),
    });
  }

  /** A value of another type than `wanted` ("a string"). */
  wrongType(node: JsonNode, field: string, wanted: string): void {
    const scalar = node.type !== "object" && node.type !== "array";
    // The opening bracket stands for a value that may go on for pages.
    const span = scalar ? node : { start: node.start, end: node.start + 1 };
    const quotable = wanted === "a string" && (node.type === "number" || node.type === "boolean");
    this.add(
      "wrong-value-type",
      span,
      `\`${field}\` must be ${wanted}, not ${typeNames[node.type]}.`,
      quotable
        ? {
            title: "Put it in quotes",
            edits: [
              { span: { start: node.start, end: node.start }, newText: '"' },
              { span: { start: node.end, end: node.end }, newText: '"' },
            ],
          }
        : undefined,
    );
  }

  /**
   * `field` is not in the object. Told at the key that was probably meant to be it, else at the object's brace.
   * @param known the fields that are none misspelled
   */
  missing(object: JsonObject, field: string, what: string, known: readonly string[]): void {
    const candidates = object.properties.filter(({ key }) => !known.includes(key.value));
    const meant = nearest(
      field,
      candidates.map(({ key }) => key.value),
    );
    const misspelled = candidates.find(({ key }) => key.value === meant)?.key;
    if (!misspelled) {
      this.add(
        "missing-field",
        { start: object.start, end: object.start + 1 },
        `${what} has no \`${field}\`.`,
      );
      return;
    }
    const span = innerSpan(misspelled);
    this.add(
      "missing-field",
      span,
      `${what} has no \`${field}\`; did you mean it by \`${misspelled.value}\`?`,
      {
        title: `Rename to \`${field}\``,
        edits: [{ span, newText: field }],
      },
    );
  }

  /** A property that must be there and be a string. */
  requiredString(
    object: JsonObject,
    field: string,
    what: string,
    known: readonly string[],
  ): Content | undefined {
    const found = property(object, field);
    if (!found) {
      this.missing(object, field, what, known);
      return undefined;
    }
    return this.string(found);
  }

  /** A property that may be absent or null. */
  optionalString(object: JsonObject, field: string): Content | undefined {
    const found = property(object, field);
    if (!found || found.value?.type === "null") return undefined;
    return this.string(found);
  }

  string({ key, value }: JsonProperty): Content | undefined {
    if (value?.type === "string") return contentOf(value.value, innerSpan(value));
    if (value) this.wrongType(value, key.value, "a string");
    return undefined;
  }
}

export const typeNames: Record<JsonNode["type"], string> = {
  object: "an object",
  array: "a list",
  string: "a string",
  number: "a number",
  boolean: "a boolean",
  null: "null",
};

export function contentOf(content: string, span: Span): Content {
  return { content, span, pieces: [{ contentStart: 0, contentEnd: content.length, span }] };
}

/** Puts contents after one another, with `glue` between them. */
export function joinContents(parts: readonly Content[], glue: string): Content {
  const pieces: ContentPiece[] = [];
  let content = "";
  for (const [index, part] of parts.entries()) {
    if (index > 0) content += glue;
    for (const piece of part.pieces) {
      pieces.push({
        contentStart: content.length + piece.contentStart,
        contentEnd: content.length + piece.contentEnd,
        span: piece.span,
      });
    }
    content += part.content;
  }
  const starts = pieces.map(({ span }) => span.start);
  const ends = pieces.map(({ span }) => span.end);
  const span =
    pieces.length > 0 ? { start: Math.min(...starts), end: Math.max(...ends) } : { start: 0, end: 0 };
  return { content, span, pieces };
}

/** What to underline of an empty content: its quotes, for there is nothing between them. */
export function quoted({ span }: Content): Span {
  return { start: span.start - 1, end: span.end + 1 };
}
