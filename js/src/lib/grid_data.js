import { readFloat32, readFloat64, readInt32, readUint8 } from "./binary.js";
import { VERDICT_NAMES, countVerdicts, shownVerdicts } from "./verdicts.js";
import { viewOrder } from "./order.js";

/** @import { Knowledge, Model, VerdictName } from "./types.js" */

/** The traits that a grid shows. */
export const GRID_TRAITS = (
  "epsilon evaluated_epsilon seed indices selected labels predictions upper lower reasons busy elapsed error _traceback " +
  "can_undo class_names feature_names columns shown sort_by descending pinned brushed _kind _image_shape _pictures " +
  "_value_range _certified _falsified _tried _misclassified _refined _static"
).split(" ");

/** Everything that a grid shows, at one moment. */
export class GridData {
  /**
   * @param {Model} model
   * @param {GridData | null} previous whose pictures are kept if they are the same
   * @param {boolean} lost whether the kernel does not answer any more
   */
  constructor(model, previous, lost) {
    /** @param {string} name */
    const floats = (name) => readFloat64(model.get(name));
    /** @type {(name: string) => any[]} */
    const list = (name) => model.get(name) ?? [];
    this.epsilon = Number(model.get("epsilon"));
    this.evaluatedEpsilon = Number(model.get("evaluated_epsilon"));
    this.seed = Number(model.get("seed"));
    /** @type {number[]} positions in the data */
    this.indices = model.get("indices");
    this.labels = readInt32(model.get("labels"));
    this.predictions = readInt32(model.get("predictions"));
    this.upper = floats("upper");
    this.lower = floats("lower");
    /** @type {string[]} */
    this.reasons = list("reasons");
    /** @type {string[]} */
    this.classNames = list("class_names");
    /** @type {string[]} */
    this.featureNames = list("feature_names");
    this.selected = Number(model.get("selected"));
    /** @type {Set<number>} positions in the data */
    this.pinned = new Set(list("pinned"));
    /** @type {Set<number>} positions in the grid */
    this.brushed = new Set(list("brushed"));
    const withoutKernel = Boolean(model.get("_static"));
    this.isLost = lost && !withoutKernel;
    this.isStatic = lost || withoutKernel;
    this.isBusy = !this.isStatic && Boolean(model.get("busy"));
    this.columns = Number(model.get("columns"));

    /** @type {"image" | "row" | "signal"} */
    this.kind = model.get("_kind");
    /** @type {[number, number, number]} */
    this.shape = model.get("_image_shape");
    this.range = floats("_value_range");
    /** @type {unknown} */
    this.source = model.get("_pictures");
    /** @type {Uint8Array | Float32Array} pixels, or the values of rows and signals */
    this.pictures =
      previous && previous.source === this.source && previous.kind === this.kind
        ? previous.pictures
        : this.kind === "image"
          ? readUint8(this.source)
          : readFloat32(this.source);

    /** @type {Knowledge} */
    this.knowledge = {
      certified: floats("_certified"),
      falsified: floats("_falsified"),
      tried: floats("_tried"),
      misclassified: readUint8(model.get("_misclassified")),
      refined: readUint8(model.get("_refined")),
    };
    /** @type {VerdictName[]} */
    this.verdicts = shownVerdicts(this.knowledge, this.epsilon).slice(0, this.indices.length);
    this.counts = countVerdicts(this.verdicts);
    /** @type {string[]} */
    this.shown = list("shown");
    this.sortBy = String(model.get("sort_by"));
    this.descending = Boolean(model.get("descending"));
    /** Positions in the grid, in the order of display. */
    this.order = viewOrder(this.sortBy, this.descending, this.shown, {
      names: VERDICT_NAMES,
      verdicts: this.verdicts,
      labels: this.labels,
      certified: this.knowledge.certified,
      falsified: this.knowledge.falsified,
      upper: this.upper,
    });
    /** Place in `order` of each position, -1 where the filter hides it. */
    this.ranks = new Int32Array(this.indices.length).fill(-1);
    this.order.forEach((position, rank) => {
      this.ranks[position] = rank;
    });
  }

  /**
   * @param {number | undefined} number of a class
   * @returns {string} its name, "…" if it is not known
   */
  className(number) {
    return number === undefined || number < 0 ? "…" : (this.classNames[number] ?? String(number));
  }
}
