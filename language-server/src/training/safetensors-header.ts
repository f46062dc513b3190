import { open } from "node:fs/promises";
import { z } from "zod";
import { Refused } from "./refused";

/** Bytes per element of the types that token shards and models have. */
const elementBytes: Record<string, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** As in HF's own reader. */
const longestHeaderBytes = 100_000_000;

export interface TensorEntry {
  dtype: string;
  shape: number[];
  /** Byte range within the file. */
  begin: number;
  end: number;
}

const headerSchema = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z.array(z.number().int().nonnegative()),
    data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
  }),
);

/**
 * The tensors of a safetensors file, from its header alone.
 * @throws Refused when the header is broken or claims more than the file holds, naming file and tensor
 */
export async function readSafetensorsHeader(path: string): Promise<Map<string, TensorEntry>> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const lengthBytes = Buffer.alloc(8);
    const { bytesRead } = await file.read(lengthBytes, 0, 8, 0);
    const length = bytesRead === 8 ? Number(lengthBytes.readBigUInt64LE()) : Number.NaN;
    if (!(length >= 2 && length <= Math.min(size - 8, longestHeaderBytes))) {
      throw new Refused(
        `${path} is no safetensors file, or it is truncated: its header does not fit into ${size} bytes.`,
      );
    }
    const text = Buffer.alloc(length);
    await file.read(text, 0, length, 8);
    return parseHeader(text.toString("utf8"), path, 8 + length, size);
  } finally {
    await file.close();
  }
}

function parseHeader(text: string, path: string, dataStart: number, size: number): Map<string, TensorEntry> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Refused(`${path} is no safetensors file: its header is not JSON.`);
  }
  if (typeof json === "object" && json !== null) delete (json as Record<string, unknown>).__metadata__;
  const header = headerSchema.safeParse(json);
  if (!header.success) {
    throw new Refused(
      `${path} has a broken safetensors header at "${header.error.issues[0]?.path.join(".") ?? ""}".`,
    );
  }
  const tensors = new Map<string, TensorEntry>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header.data)) {
    const bytes = elementBytes[dtype];
    const [begin, end] = data_offsets;
    if (bytes === undefined) throw new Refused(`${path}: tensor ${name} has the unknown type ${dtype}.`);
    if (end - begin !== shape.reduce((product, n) => product * n, bytes)) {
      throw new Refused(
        `${path}: tensor ${name} of shape [${shape.join(", ")}] does not fit its ${end - begin} bytes.`,
      );
    }
    if (dataStart + end > size) {
      throw new Refused(
        `${path} is truncated: tensor ${name} ends at byte ${dataStart + end}, the file at byte ${size}. Copy or download it again.`,
      );
    }
    tensors.set(name, { dtype, shape, begin: dataStart + begin, end: dataStart + end });
  }
  return tensors;
}

/** The bytes before the tensors' data. `tensors` are in the order in which their data follows. */
export function safetensorsHeader(tensors: { name: string; dtype: string; shape: number[] }[]): Buffer {
  const entries: Record<string, unknown> = {};
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + shape.reduce((product, n) => product * n, elementBytes[dtype] ?? Number.NaN);
    entries[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(entries));
  // The data begins at a multiple of 8, so that readers can map it.
  const padded = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + padded, " ");
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return header;
}
