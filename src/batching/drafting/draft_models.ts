/**
 * What guesses for the requests of one batcher, beside looking up: draft models, each opened when a request first names it, and
 * the drafter of the model's own file.
 *
 * @module
 */
import { InvalidArgumentError } from "../../../ffi/errors.ts";
import { kvSizes } from "../../engine/engine.ts";
import type { Model } from "../../model/model.ts";
import { vocabulariesDiffer } from "../../model/same_vocabulary.ts";
import { DraftModel, type DraftSettings } from "./draft_model.ts";
import { ModelGuesser } from "./model_guesser.ts";
import { OwnDrafter } from "./own_drafter.ts";

/** The draft models of one batcher, each opened when a request first names it. */
export class DraftModels {
  readonly #model: Model;
  readonly #settings: DraftSettings;
  readonly #open = new Map<Model, DraftModel>();
  #own: OwnDrafter | undefined;

  /** Draft models for `model`, with the settings of its engine. */
  constructor(model: Model, settings: DraftSettings) {
    this.#model = model;
    this.#settings = settings;
  }

  /**
   * The draft model over `draft`.
   *
   * @throws {InvalidArgumentError} where it has another vocabulary, or layers that keep a state
   */
  of(draft: Model): DraftModel {
    let found = this.#open.get(draft);
    if (found === undefined) {
      const difference = vocabulariesDiffer(this.#model, draft);
      if (difference) refuse(difference.expected, difference.got);
      const { kv, pageSize } = this.#settings;
      if (kvSizes(draft.plan, kv, pageSize).statePages > 0) {
        refuse(
          "a model whose layers all keep keys and values",
          "one with layers that keep a state, which cannot go back",
        );
      }
      found = new DraftModel(draft, this.#settings, this.#model.vocabulary);
      this.#open.set(draft, found);
    }
    return found;
  }

  /**
   * The drafter that the model's file has.
   *
   * @throws {UnsupportedError} where it has none
   */
  own(): OwnDrafter {
    this.#own ??= new OwnDrafter(this.#model, this.#settings);
    return this.#own;
  }

  /** Guesses by that drafter for one sequence. */
  ownGuesser(): ModelGuesser {
    return new ModelGuesser(this.own(), this.#model.plan.hyperparameters.embedding);
  }

  /** Frees all of them. */
  async dispose(): Promise<void> {
    await this.#own?.dispose();
    this.#own = undefined;
    for (const model of this.#open.values()) await model.dispose();
    this.#open.clear();
  }
}

function refuse(expected: string, got: string): never {
  throw new InvalidArgumentError(`draft: expected ${expected}, got ${got}.`, {
    what: "a draft model that does not fit",
    where: "draft",
    expected,
    got,
  });
}
