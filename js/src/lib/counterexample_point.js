import { readFloat64 } from "./binary.js";
import { changes, fittingFactor, largest, numpyText, readValues, scaleOf } from "./counterexample.js";

/** @import { Model } from "./types.js" */

/** Everything that the view shows, read from the model at once. */
export class CounterexamplePoint {
  /** @param {Model} model */
  constructor(model) {
    const shape = model.get("_image_shape") ?? [];
    this.shape = /** @type {[number, number, number]} */ (shape.length === 3 ? shape : [0, 0, 1]);
    this.size = this.shape[0] * this.shape[1] * this.shape[2];
    this.kind = /** @type {"image" | "row" | "signal"} */ (model.get("_kind") ?? "image");
    this.clean = readValues(model.get("_clean"), this.size);
    const adversarial = readValues(model.get("_adversarial"), this.size);
    // Only what the real model misclassified is shown: anything else would look like a proof.
    this.proven = Boolean(model.get("replayed")) && adversarial.length === this.size && this.size > 0;
    this.unconfirmed = !this.proven && adversarial.length > 0;
    this.adversarial = this.proven ? adversarial : new Float32Array(0);
    this.cleanOutputs = readFloat64(model.get("_clean_logits"));
    this.outputs = this.proven ? readFloat64(model.get("_adversarial_logits")) : new Float64Array(0);
    this.label = Number(model.get("label"));
    this.sample = Number(model.get("sample"));
    this.epsilon = Number(model.get("epsilon"));
    this.distance = Number(model.get("distance"));
    this.featureNames = /** @type {string[]} */ (model.get("feature_names") ?? []);
    this.names = /** @type {string[]} */ (model.get("class_names") ?? []);
    const range = readFloat64(model.get("_value_range"));
    const both = [...this.clean, ...this.adversarial];
    /** @type {[number, number]} */
    const ends = [Math.min(...both), Math.max(...both)];
    this.scale = range.length >= 2 ? scaleOf(range, this.size) : () => ends;
    const wanted = model.get("amplification");
    this.amplification = typeof wanted === "number" && wanted > 0 ? wanted : null;
  }

  /** How strongly the perturbation is amplified: as wanted, or as much as fits. */
  get factor() {
    return this.amplification ?? fittingFactor(this.changes(1));
  }

  /** @param {number} k */
  className(k) {
    return this.names[k] ?? String(k);
  }

  /** @param {number} factor */
  changes(factor) {
    return changes(this.clean, this.adversarial, this.scale, factor);
  }

  /** @param {number[]} inputShape */
  numpy(inputShape) {
    const [height, width, channels] = this.shape;
    const grey = channels === 1 ? [height, width] : [height, width, channels];
    const line = channels === 1 ? [width] : [width, channels];
    return numpyText({
      clean: this.clean,
      adversarial: this.adversarial,
      shape: inputShape.length > 0 ? inputShape : this.kind === "image" ? grey : line,
      about:
        `${this.sample >= 0 ? `Sample ${this.sample}: ` : ""}label ${this.className(this.label)}, predicted ` +
        `${this.className(largest(this.outputs))} at L-inf distance ${this.distance}.`,
    });
  }
}
