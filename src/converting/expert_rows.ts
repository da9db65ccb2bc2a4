/**
 * What the experts of a layer see while a model reads a text: of each expert the rows that came to it, of the copy that is rounded, and
 * of the original at the same positions.
 *
 * @module
 */
import type { RowFile } from "./row_file.ts";

/** Floats before each row: the expert's number, and the token's in its window. */
const labels = 2;

/** Where a row is, and the position that it is of. */
interface Place {
  readonly row: number;
  readonly position: number;
}

/** Whose rows are whose. */
export class ExpertRows {
  readonly #places = new Map<number, Place[]>();
  #count = 0;

  /** Adds rows of a window that begins at `position`; returns them without their labels, in the place of the first ones. */
  add(labelled: Float32Array, position: number, columns: number): Float32Array {
    const count = labelled.length / (labels + columns);
    for (let row = 0; row < count; row++) {
      const at = row * (labels + columns);
      const [expert, token] = [labelled[at]!, labelled[at + 1]!];
      const places = this.#places.get(expert) ?? [];
      if (places.length === 0) this.#places.set(expert, places);
      places.push({ row: this.#count++, position: position + token });
      labelled.copyWithin(row * columns, at + labels, at + labels + columns);
    }
    return labelled.subarray(0, count * columns);
  }

  /** The rows of an expert. */
  of(expert: number): readonly Place[] {
    return this.#places.get(expert) ?? [];
  }
}

/** Rows in a file, and whose they are. */
interface Seen {
  readonly file: RowFile;
  readonly rows: ExpertRows;
}

/** The inputs of a step's experts. */
export class ExpertInputs {
  readonly copy: Seen;
  readonly #original: Seen;
  readonly #isInner: boolean;

  /** `isInner`: each choice has a row of its own; else the file has one for each position. */
  constructor(copy: Seen, original: Seen, isInner: boolean) {
    this.copy = copy;
    this.#original = original;
    this.#isInner = isInner;
  }

  /** How many rows came to an expert. */
  count(expert: number): number {
    return this.copy.rows.of(expert).length;
  }

  /** The original's rows and the copy's, up to `most` at once. Where the original chose another expert, it lacks nothing. */
  *rows(expert: number, most: number): Generator<[original: Float32Array, copy: Float32Array]> {
    const { columns } = this.copy.file;
    const places = this.copy.rows.of(expert);
    const others = new Map(this.#original.rows.of(expert).map(({ row, position }) => [position, row]));
    const [original, copy] = [new Float32Array(most * columns), new Float32Array(most * columns)];
    for (let first = 0; first < places.length; first += most) {
      const part = places.slice(first, first + most);
      for (const [index, { row, position }] of part.entries()) {
        const [to, from] = [original, copy].map((rows) => rows.subarray(index * columns, (index + 1) * columns));
        this.copy.file.read(this.#isInner ? row : position, from!);
        const other = this.#isInner ? others.get(position) : position;
        if (other === undefined) to!.set(from!);
        else this.#original.file.read(other, to!);
      }
      const length = part.length * columns;
      yield [original.subarray(0, length), copy.subarray(0, length)];
    }
  }
}
