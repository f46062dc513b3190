/** The modules of a decoder by HF's names, as PEFT's `target_modules` and `modules_to_save` have them. */

/** The linear layers of a decoder layer: PEFT's "all-linear", which leaves the head out. */
export const linearModules = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** Those that can be given an adapter. */
export const adaptedModules = [...linearModules, "embed_tokens", "lm_head"] as const;
export type AdaptedModule = (typeof adaptedModules)[number];

/** Those that can be trained whole beside an adapter; `norm` is every norm. */
export const savedModules = ["embed_tokens", "lm_head", "norm"] as const;
export type SavedModule = (typeof savedModules)[number];
