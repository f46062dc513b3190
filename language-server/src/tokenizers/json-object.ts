/** An object of somebody's JSON, before anything is known of it. */
export type JsonObject = { readonly [key: string]: unknown };

/** Anything else counts as an object without members. */
export function asObject(value: unknown): JsonObject {
  return typeof value === "object" && value !== null ? (value as JsonObject) : {};
}
