/**
 * The drafter that a model's own file has (nextn): its layer is loaded when the first guess is wanted, as a model of that layer
 * alone, and guesses as any draft model does.
 *
 * @module
 */
import type { ModelPlan } from "../../model/architectures/architectures.ts";
import { planDrafter } from "../../model/architectures/nextn.ts";
import { LayerModel } from "../../model/layer_model.ts";
import type { Model } from "../../model/model.ts";
import { DraftModel, type DraftSettings } from "./draft_model.ts";
import type { DraftSource, Guessing } from "./types.ts";

/** The drafter that a model's own file has: its layer is loaded when the first guess is wanted. */
export class OwnDrafter implements DraftSource {
  readonly #model: Model;
  readonly #settings: DraftSettings;
  readonly #plan: ModelPlan;
  #layer: LayerModel | undefined;
  #opening: Promise<DraftModel> | undefined;
  #open: DraftModel | undefined;

  /**
   * The drafter of `model`.
   *
   * @throws {UnsupportedError} where its file has none
   */
  constructor(model: Model, settings: DraftSettings) {
    this.#model = model;
    this.#settings = settings;
    this.#plan = planDrafter(model.gguf, model.plan);
  }

  /** See {@link DraftSource}. */
  get msOfGuess(): number {
    return this.#open?.msOfGuess ?? 0;
  }

  /** See {@link DraftSource}. */
  async guess(wanted: readonly Guessing[]): Promise<(readonly number[])[]> {
    this.#opening ??= this.#load();
    return await (await this.#opening).guess(wanted);
  }

  /** See {@link DraftSource}. */
  leave(seat: object): void {
    this.#open?.leave(seat);
  }

  /** Frees its engine and its layer; no step may come. */
  async dispose(): Promise<void> {
    // What failed was told to those who wanted guesses.
    await this.#opening?.catch(() => {});
    await this.#open?.dispose();
    this.#layer?.[Symbol.dispose]();
  }

  async #load(): Promise<DraftModel> {
    const { gguf, tokenizer, context, vocabulary } = this.#model;
    const layer = await LayerModel.loadPlanned(this.#plan, gguf.files);
    this.#layer = layer;
    const { handle, plan, residentBytes } = layer;
    const drafting = { handle, plan, vocabulary, residentBytes, context, tokenizer };
    this.#open = new DraftModel(drafting, this.#settings, vocabulary);
    return this.#open;
  }
}
