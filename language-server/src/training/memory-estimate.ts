import type { EnginePlan } from "./engine-plan";
import type { StoredModel } from "./model-files";
import {
  type AdapterShape,
  adapterParameters,
  baseParameters,
  elements,
  isOfEmbedding,
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
  /** The program itself, its working memory, and the copies that it makes when it loads or saves. */
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

/** Bytes of an element. */
const widths = { float32: 4, bfloat16: 2 } as const;
const { float32 } = widths;

/** Measured as peak resident memory on x86-64 Linux beyond a run's tensors: the program, its libraries and their tables. */
const programBytes = 14e6;

/**
 * @param evaluation the largest batch of an evaluation, or null
 * @returns bytes, as `native/engine` takes them: weights.cpp, decoder.cpp, llama.cpp, the scratch of backend/cpu, and the copies
 * of hf_model.cpp, parameter.cpp and safetensors_writer.cpp
 */
export function estimateMemory(
  shape: ModelShape,
  mode: TrainingMode,
  batch: BatchShape,
  evaluation: BatchShape | null,
  stored: StoredModel,
): MemoryEstimate {
  const trained = trainedParameters(shape, mode.adapter);
  const weights = weightBytes(shape, mode);
  const training = {
    gradients: float32 * elements(trained),
    optimizer: trained.reduce((sum, parameter) => sum + momentBytes(parameter, mode.optimizer), 0),
    activations:
      float32 *
      Math.max(
        activationElements(shape, mode, batch),
        evaluation ? evaluationElements(shape, mode, evaluation) : 0,
      ),
    logits: float32 * logitElements(shape, mode, Math.max(batch.supervised, evaluation?.supervised ?? 0)),
    scratch: float32 * scratchElements(shape, mode, batch, evaluation),
  };
  // Loading comes before training, whose memory is not touched until then.
  const loading =
    loadingBytes(shape, mode, stored) - Object.values(training).reduce((sum, bytes) => sum + bytes, 0);
  const { scratch, ...parts } = training;
  return { weights, ...parts, engine: programBytes + scratch + Math.max(savingBytes(shape, mode), loading) };
}

export function totalBytes(memory: MemoryEstimate): number {
  return Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
}

/** Linear layers of the decoder in NF4 if they are quantised; other frozen matrices in `frozen_dtype`; the rest in float32. */
function heldAs(
  shape: ModelShape,
  { adapter, quantization, frozen_dtype }: TrainingMode,
  parameter: ParameterShape,
): "nf4" | EnginePlan["frozen_dtype"] {
  const isFrozen = adapter !== null && !isSaved(shape, adapter, parameter.name);
  if (!isFrozen || parameter.shape.length === 1) return "float32";
  return quantization !== null && /_proj\.weight$/.test(parameter.name) ? "nf4" : frozen_dtype;
}

function weightBytes(shape: ModelShape, mode: TrainingMode): number {
  const { adapter, quantization } = mode;
  let bytes = adapter === null ? 0 : float32 * elements(adapterParameters(shape, adapter));
  for (const parameter of baseParameters(shape)) {
    const count = elements([parameter]);
    const held = heldAs(shape, mode, parameter);
    if (held === "nf4") bytes += nf4Bytes(count, quantization?.double_quant ?? false);
    else bytes += widths[held] * count;
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

/** Without a backward pass one layer's activations serve all. */
function evaluationElements(
  shape: ModelShape,
  mode: TrainingMode,
  { tokens, supervised }: BatchShape,
): number {
  const { hidden_size: hidden, intermediate_size: inner } = shape;
  const { queries, row } = attentionWidths(shape);
  const layer =
    2 * hidden +
    row +
    queries +
    shape.num_attention_heads +
    2 * inner +
    ranks(mode)(...linearLayers(shape).map(({ module }) => module));
  return tokens * (layer + 2 * hidden + 3 * hidden + inner) + supervised * (hidden + 1);
}

/** Logits of a chunk: 64 MiB at the most unless that is under 128 tokens, and the head's adapter's inner product. */
function logitElements(shape: ModelShape, mode: TrainingMode, supervised: number): number {
  return headChunk(shape, supervised) * (shape.vocab_size + headRank(shape, mode));
}

function headChunk(shape: ModelShape, supervised: number): number {
  const most = Math.min(2048, Math.max(128, Math.floor(2 ** 24 / shape.vocab_size)));
  return Math.min(supervised, most);
}

/** What the linear layers and the attention work with: the largest of what any of them needs, and each thread's own. */
function scratchElements(
  shape: ModelShape,
  mode: TrainingMode,
  batch: BatchShape,
  evaluation: BatchShape | null,
): number {
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
  const chunk = headChunk(shape, Math.max(batch.supervised, evaluation?.supervised ?? 0));
  const head = layer([shape.vocab_size], headRank(shape, mode) > 0 ? 1 : 0, shape.hidden_size, chunk);
  const widest = Math.max(shape.hidden_size, shape.intermediate_size);
  const ofThread = Math.max(
    6 * Math.max(batch.longest, evaluation?.longest ?? 0) * shape.head_dim,
    dropout && r > 0 ? dropoutRows * widest : 0,
    dropoutRows * 512,
  );
  return Math.max(...shared, head) + threads * ofThread;
}

/** A weight is read into float32, new rows beside it, and then quantised from a copy or rounded into one. */
function loadingBytes(shape: ModelShape, mode: TrainingMode, stored: StoredModel): number {
  const copies = baseParameters(shape).map((parameter) => {
    const count = elements([parameter]);
    const copied = { nf4: float32, bfloat16: widths.bfloat16, float32: 0 }[heldAs(shape, mode, parameter)];
    const read = (float32 + copied) * count;
    const added = isOfEmbedding(parameter.name) ? 1 - stored.vocab_size / shape.vocab_size : 0;
    if (added === 0) return read;
    // The grown base of an adapter is written again, through a copy as wide as the files.
    const written = mode.adapter === null ? 0 : widths[stored.dtype];
    return Math.max(read, (float32 + written + float32 * added) * count);
  });
  return Math.max(...copies);
}

/** The tensor that is written, and the copy that is transposed into PEFT's layout or read from the model. */
function savingBytes(shape: ModelShape, { adapter }: TrainingMode): number {
  const bytes = trainedParameters(shape, adapter).map((parameter) => {
    const copies = adapter === null ? 2 : parameter.name.includes("lora_embedding") ? 3 : 1;
    return copies * float32 * elements([parameter]);
  });
  return Math.max(0, ...bytes);
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
