import { type FileHandle, open } from "node:fs/promises";
import { Refused } from "../refused";
import { readSafetensorsHeader, type TensorEntry } from "../safetensors-header";

const embedding = "model.embed_tokens.weight";

/** A model's embedding, read row by row from where it lies. Close it. */
export class EmbeddingRows {
  readonly rows: number;
  readonly width: number;
  readonly #entry: TensorEntry;
  readonly #widen: Widen;

  private constructor(
    private readonly file: FileHandle,
    entry: TensorEntry,
    widen: Widen,
  ) {
    this.#entry = entry;
    this.#widen = widen;
    [this.rows, this.width] = entry.shape as [number, number];
  }

  /**
   * @param weights the model's safetensors files
   * @throws Refused when none has an embedding of numbers that are read
   */
  static async open(weights: readonly string[]): Promise<EmbeddingRows> {
    for (const path of weights) {
      const entry = (await readSafetensorsHeader(path)).get(embedding);
      if (entry === undefined) continue;
      const widen = widening[entry.dtype];
      if (widen === undefined || entry.shape.length !== 2) {
        throw new Refused(
          `${path}: ${embedding} is ${entry.dtype} of shape [${entry.shape.join(", ")}]; rows of float32, float16 or bfloat16 are read.`,
        );
      }
      return new EmbeddingRows(await open(path, "r"), entry, widen);
    }
    throw new Refused(`None of ${weights.join(", ")} has ${embedding}.`);
  }

  /** `count` rows from `first` on, one after the other. */
  async read(first: number, count: number): Promise<Float32Array> {
    const { begin, end } = this.#entry;
    const rowBytes = (end - begin) / this.rows;
    const bytes = Buffer.alloc(count * rowBytes);
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.file.read(
        bytes,
        done,
        bytes.length - done,
        begin + first * rowBytes + done,
      );
      if (bytesRead === 0) throw new Refused("The model's weights were cut short while they were read.");
      done += bytesRead;
    }
    const values = new Float32Array(count * this.width);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let index = 0; index < values.length; index++) values[index] = this.#widen(view, index);
    return values;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

type Widen = (view: DataView, index: number) => number;

const bits = new DataView(new ArrayBuffer(4));

const widening: Readonly<Record<string, Widen | undefined>> = {
  F32: (view, index) => view.getFloat32(4 * index, true),
  BF16: (view, index) => {
    bits.setUint32(0, view.getUint16(2 * index, true) << 16);
    return bits.getFloat32(0);
  },
  F16: (view, index) => fromHalf(view.getUint16(2 * index, true)),
};

function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
