/**
 * Reads a SentencePiece model: the protocol buffer message `ModelProto` of google/sentencepiece's
 * `sentencepiece_model.proto`. Of its some sixty fields these few decide what a text's pieces are.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { checkCharsmap } from "../charsmap";
import { TokenizerError } from "../tokenizer-error";

export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

export interface Piece {
  readonly piece: string;
  /** A float32. */
  readonly score: number;
  readonly type: PieceType;
}

export interface SentencePieceModel {
  /** Their indices are the ids. */
  readonly pieces: readonly Piece[];
  readonly algorithm: "BPE" | "unigram";
  readonly byteFallback: boolean;
  readonly treatWhitespaceAsSuffix: boolean;
  /** −1 where there is none. */
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  readonly unknownId: number;
  /** See `checkCharsmap`; empty for the identity. */
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

const pieceTypes: Readonly<Record<number, PieceType>> = {
  1: "normal",
  2: "unknown",
  3: "control",
  4: "user-defined",
  5: "unused",
  6: "byte",
};

const algorithms: Readonly<Record<number, string>> = { 1: "unigram", 2: "BPE", 3: "word", 4: "char" };

/** Of `TrainerSpec`, by field number; the values are the defaults. */
const trainerDefaults = { 3: 1, 24: 0, 35: 0, 41: 1, 42: 2, 43: -1 };
/** Of `NormalizerSpec`. */
const normalizerDefaults = { 3: 1, 4: 1, 5: 1 };

/**
 * @throws TokenizerError `malformed` when it is not such a message or does not fit together; `unsupported` for models of words
 * and of characters
 */
export function readSentencePieceModel(bytes: Uint8Array, path: string): SentencePieceModel {
  const malformed = (what: string): never => {
    throw new TokenizerError("malformed", path, `${path} is not a SentencePiece model: ${what}.`);
  };
  if (bytes.length === 0) throw new TokenizerError("malformed", path, `${path} is empty.`);
  const pieces: Piece[] = [];
  let trainer: Record<number, number> | undefined;
  let normalizer: Record<number, number> = { ...normalizerDefaults };
  let charsmap: Uint8Array = new Uint8Array(0);
  try {
    eachField(bytes, (field, reader) => {
      if (field === 1) pieces.push(readPiece(reader.bytes()));
      else if (field === 2) trainer = numbersOf(reader.bytes(), trainerDefaults);
      else if (field === 3) {
        const spec = reader.bytes();
        normalizer = numbersOf(spec, normalizer);
        charsmap = bytesOf(spec, 2) ?? charsmap;
      } else return false;
      return true;
    });
  } catch (error) {
    return malformed(
      `it is cut off or another kind of file (${error instanceof Error ? error.message : error})`,
    );
  }
  // Without it, a file that is cut off between two pieces would look like one of unigram.
  if (!trainer) return malformed("it has no `trainer_spec`, which stands after the pieces: it is cut off");
  const algorithm = algorithms[trainer[3] as number];
  if (algorithm !== "unigram" && algorithm !== "BPE") {
    const what = algorithm === undefined ? `an unknown kind (${trainer[3]})` : `of ${algorithm}s`;
    const message = `${path} is a SentencePiece model ${what}. Models of BPE and unigram are read.`;
    throw new TokenizerError("unsupported", path, message);
  }
  const wrongMap = charsmap.length > 0 ? checkCharsmap(charsmap) : undefined;
  if (wrongMap) malformed(`its \`precompiled_charsmap\` is broken: ${wrongMap}`);
  const byteFallback = trainer[35] === 1;
  const unknownId = checkPieces(pieces, byteFallback, malformed);
  return {
    ...{ pieces, algorithm, byteFallback, charsmap, unknownId },
    treatWhitespaceAsSuffix: trainer[24] === 1,
    bosId: trainer[41] as number,
    eosId: trainer[42] as number,
    padId: trainer[43] as number,
    addDummyPrefix: normalizer[3] === 1,
    removeExtraWhitespaces: normalizer[4] === 1,
    escapeWhitespaces: normalizer[5] === 1,
  };
}

/** As SentencePiece checks them when it loads. */
function checkPieces(
  pieces: readonly Piece[],
  byteFallback: boolean,
  malformed: (what: string) => never,
): number {
  const seen = new Set<string>();
  let unknownId: number | undefined;
  let bytes = 0;
  for (const [id, { piece, type }] of pieces.entries()) {
    if (piece === "") malformed(`piece ${id} is empty`);
    const isReserved = type === "control" || type === "unknown" || type === "byte";
    const key = `${isReserved} ${piece}`;
    if (seen.has(key)) malformed(`piece ${id}, \`${piece}\`, stands there twice`);
    seen.add(key);
    if (type === "unknown") {
      if (unknownId !== undefined) malformed(`it has two unknown pieces, ${unknownId} and ${id}`);
      unknownId = id;
    }
    if (type === "byte") {
      if (!/^<0x[\dA-F]{2}>$/.test(piece)) malformed(`piece ${id}, \`${piece}\`, is no byte`);
      bytes++;
    }
  }
  if (bytes !== (byteFallback ? 256 : 0)) malformed(`it has ${bytes} of 256 bytes`);
  return unknownId ?? malformed("it has no unknown piece");
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readPiece(bytes: Uint8Array): Piece {
  let piece = "";
  let score = 0;
  let type: PieceType = "normal";
  eachField(bytes, (field, reader) => {
    if (field === 1) piece = strictUtf8.decode(reader.bytes());
    else if (field === 2) score = reader.float();
    else if (field === 3) {
      const number = reader.int32();
      const known = pieceTypes[number];
      if (!known) throw new Error(`a piece of type ${number}`);
      type = known;
    } else return false;
    return true;
  });
  if (Number.isNaN(score)) throw new Error(`the score of \`${piece}\` is no number`);
  return { piece, score, type };
}

/** The varints of the fields that have a default. */
function numbersOf(bytes: Uint8Array, defaults: Record<number, number>): Record<number, number> {
  const numbers = { ...defaults };
  eachField(bytes, (field, reader, wireType) => {
    if (!(field in defaults) || wireType !== WireType.Varint) return false;
    numbers[field] = reader.int32();
    return true;
  });
  return numbers;
}

function bytesOf(bytes: Uint8Array, wanted: number): Uint8Array | undefined {
  let found: Uint8Array | undefined;
  eachField(bytes, (field, reader) => {
    if (field !== wanted) return false;
    found = reader.bytes();
    return true;
  });
  return found;
}

/** @param read whether it has read the field; one that it has not is skipped */
function eachField(
  bytes: Uint8Array,
  read: (field: number, reader: BinaryReader, wireType: WireType) => boolean,
): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!read(field, reader, wireType)) reader.skip(wireType, field);
  }
}
