import type { EnginePlan } from "./engine-plan";
import {
  type AdapterShape,
  adapterParameters,
  baseParameters,
  elements,
  isSaved,
  linearLayers,
  type ModelShape,
  type ParameterShape,
  trainedParameters,
} from "./parameters";

/** Bytes the engine will need on the CPU at the most. The token shards, which it reads as it goes, are not in it. */
export interface MemoryEstimate {
  weights: number;
  gradients: number;
  /** AdamW's two moments. */
  optimizer: number;
  activations: number;
  /** The LM head's outputs for one chunk of tokens. */
  logits: number;
  /** The program itself, and its working memory. */
  engine: number;
}

/** How a model is held and trained. */
export interface TrainingMode {
  adapter: AdapterShape | null;
  /** LoRA's dropout needs some room of its own. */
  dropout: boolean;
  quantization: EnginePlan["quantization"];
  frozen_dtype: EnginePlan["frozen_dtype"];
  recompute: EnginePlan["recompute"];
  optimizer: EnginePlan["optimizer"]["name"];
  threads: number;
}

/** The largest micro-batch. */
export interface BatchShape {
  tokens: number;
  /** Tokens of it that carry loss. */
  supervised: number;
  /** Tokens of its longest sequence. */
  longest: number;
}

const float32 = 4;

/** Measured as peak resident memory on x86-64 Linux beyond a run's tensors: the program, its libraries and their tables. */
const programBytes = 14e6;

/** @returns bytes, as `native/engine` takes them: weights.cpp, decoder.cpp, llama.cpp, and the scratch of backend/cpu */
export function estimateMemory(shape: ModelShape, mode: TrainingMode, batch: BatchShape): MemoryEstimate {
  const trained = trainedParameters(shape, mode.adapter);
  return {
    weights: weightBytes(shape, mode),
    gradients: float32 * elements(trained),
    optimizer: trained.reduce((sum, parameter) => sum + momentBytes(parameter, mode.optimizer), 0),
    activations: float32 * activationElements(shape, mode, batch),
    logits: float32 * logitElements(shape, mode, batch),
    engine: programBytes + float32 * scratchElements(shape, mode, batch),
  };
}

export function totalBytes(memory: MemoryEstimate): number {
  return Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
}

/** Linear layers of the decoder in NF4 if they are quantised; other frozen matrices in `frozen_dtype`; the rest in float32. */
function weightBytes(shape: ModelShape, { adapter, quantization, frozen_dtype }: TrainingMode): number {
  const added = adapter === null ? 0 : elements(adapterParameters(shape, adapter));
  let bytes = float32 * added;
  for (const parameter of baseParameters(shape)) {
    const count = elements([parameter]);
    const isFrozen = adapter !== null && !isSaved(shape, adapter, parameter.name);
    if (!isFrozen || parameter.shape.length === 1) bytes += float32 * count;
    else if (quantization !== null && /_proj\.weight$/.test(parameter.name)) {
      bytes += nf4Bytes(count, quantization.double_quant);
    } else bytes += (frozen_dtype === "bfloat16" ? 2 : float32) * count;
  }
  return bytes;
}

/** 4 bits each, and for each 64 an absmax: float32, or 8 bits and for each 256 of these a float32. */
function nf4Bytes(count: number, isDouble: boolean): number {
  const blocks = Math.ceil(count / 64);
  return count / 2 + (isDouble ? blocks + float32 * (Math.ceil(blocks / 256) + 1) : float32 * blocks);
}

/** Moments in 8 bits have for each 256 a float32; those of small tensors stay in float32. */
function momentBytes(parameter: ParameterShape, optimizer: TrainingMode["optimizer"]): number {
  const count = elements([parameter]);
  if (optimizer === "adamw_torch" || count < 4096) return 2 * float32 * count;
  return 2 * (count + float32 * Math.ceil(count / 256));
}

/**
 * For each token of a micro-batch, what is kept of a layer for the backward pass:
 * - always its input (hidden) and its down adapter's inner product (rank)
 * - unless recomputed in full: queries, keys, values, the attention's output (queries again) and normalisers (heads), the
 *   residual stream before the MLP (hidden), and the attention's adapters' inner products
 * - unless recomputed at all: gate and up (2 intermediate) and their adapters' inner products
 *
 * What is recomputed exists once. Beside that come 2 hidden, and at the most either the forward pass's 3 hidden and
 * 1 intermediate, or the backward pass's 3 hidden and 4 intermediate (or queries and queries, keys, values), with 2 hidden for
 * each token that carries loss.
 */
function activationElements(shape: ModelShape, mode: TrainingMode, batch: BatchShape): number {
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = shape;
  const { queries, row } = attentionWidths(shape);
  const rank = ranks(mode);
  const ends = hidden + rank("down_proj");
  const attention =
    row + queries + shape.num_attention_heads + hidden + rank("q_proj", "k_proj", "v_proj") + rank("o_proj");
  const gateUp = 2 * inner + rank("gate_proj", "up_proj");
  const kept = {
    none: layers * (ends + attention + gateUp),
    selective: layers * (ends + attention) + gateUp,
    full: layers * ends + attention + gateUp,
  }[mode.recompute];
  const forward = batch.tokens * (3 * hidden + inner);
  const backward =
    batch.tokens * (3 * hidden + Math.max(4 * inner, queries + row)) + batch.supervised * (2 * hidden + 1);
  return batch.tokens * (kept + 2 * hidden) + Math.max(forward, backward);
}

/** Logits of a chunk: 64 MiB at the most unless that is under 128 tokens, and the head's adapter's inner product. */
function logitElements(shape: ModelShape, mode: TrainingMode, { supervised }: BatchShape): number {
  return headChunk(shape, supervised) * (shape.vocab_size + headRank(shape, mode));
}

function headChunk(shape: ModelShape, supervised: number): number {
  const most = Math.min(2048, Math.max(128, Math.floor(2 ** 24 / shape.vocab_size)));
  return Math.min(supervised, most);
}

/** What the linear layers and the attention work with: the largest of what any of them needs, and each thread's own. */
function scratchElements(shape: ModelShape, mode: TrainingMode, batch: BatchShape): number {
  const { adapter, dropout, threads } = mode;
  const r = adapter?.r ?? 0;
  const layer = (outs: readonly number[], adapted: number, width: number, tokens: number): number => {
    const out = outs.reduce((sum, n) => sum + n, 0);
    const part = partEdge(out) * partEdge(width);
    return part + adapted * r * (width + 2 * tokens) + (adapted > 0 ? out * r : 0);
  };
  const sizes = linearLayers(shape);
  const fused = [["q_proj", "k_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"], ["down_proj"]];
  const shared = fused.map((names) => {
    const modules = sizes.filter(({ module }) => names.includes(module));
    const adapted = modules.filter(({ module }) => adapter?.target_modules.includes(module)).length;
    const outs = modules.map(({ size }) => size[0]);
    return layer(outs, adapted, modules[0]?.size[1] ?? 0, batch.tokens);
  });
  const chunk = headChunk(shape, batch.supervised);
  const head = layer([shape.vocab_size], headRank(shape, mode) > 0 ? 1 : 0, shape.hidden_size, chunk);
  const widest = Math.max(shape.hidden_size, shape.intermediate_size);
  const ofThread = Math.max(
    6 * batch.longest * shape.head_dim,
    dropout && r > 0 ? dropoutRows * widest : 0,
    dropoutRows * 512,
  );
  return Math.max(...shared, head) + threads * ofThread;
}

/** Rows of a tile, which each thread drops out for itself. */
const dropoutRows = 96;

/** A weight is packed in parts of at most 1024 by 1024. */
const partEdge = (n: number) => Math.min(n, 1024);

function attentionWidths(shape: ModelShape): { queries: number; row: number } {
  const queries = shape.num_attention_heads * shape.head_dim;
  return { queries, row: queries + 2 * shape.num_key_value_heads * shape.head_dim };
}

/** Ranks of the adapters on these modules together. */
function ranks({ adapter }: TrainingMode): (...modules: string[]) => number {
  return (...modules) =>
    adapter === null ? 0 : adapter.r * modules.filter((name) => adapter.target_modules.includes(name)).length;
}

function headRank(shape: ModelShape, { adapter }: TrainingMode): number {
  if (adapter === null) return 0;
  const ends = shape.tie_word_embeddings ? ["embed_tokens", "lm_head"] : ["lm_head"];
  return ends.some((end) => adapter.target_modules.includes(end)) ? adapter.r : 0;
}
