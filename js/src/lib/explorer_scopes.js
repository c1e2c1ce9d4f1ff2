import { readFloat64, readInt32, readUint8 } from "./binary.js";
import { History } from "./history.js";
import { scope } from "./scope.js";
import { shownVerdicts } from "./verdicts.js";

/** @import { Knowledge, Model, VerdictName } from "./types.js" */
/** @import { Computed } from "./scope.js" */

const RADII = ["_certified", "_falsified", "_tried", "_misclassified", "_refined"];
const BOUNDS = ["indices", "upper", "lower", "evaluated_epsilon", "_history_epsilons", "_history_upper", "_history_lower"];
const OFFLINE = ["_static", "_lost"];

/**
 * Something that follows from traits, worked out once after each change of them.
 *
 * @template T
 * @param {Model} model
 * @param {readonly string[]} from
 * @param {() => T} compute
 * @returns {{ from: readonly string[], get: () => T }}
 */
function derived(model, from, compute) {
  /** @type {unknown[]} */
  let seen = [];
  /** @type {T} */
  let value;
  return {
    from,
    get() {
      const now = from.map((name) => model.get(name));
      if (seen.length === 0 || now.some((item, k) => !Object.is(item, seen[k]))) {
        value = compute();
        seen = now;
      }
      return value;
    },
  };
}

/**
 * What each view of the explorer sees of its model. Verdicts and bounds are worked out here for every
 * epsilon from what is proven at others, so they do not wait for the kernel.
 *
 * @param {Model} model the explorer's, with `_lost` for a kernel that does not answer any more
 */
export function explorerScopes(model) {
  /** @param {string} name */
  const numbers = (name) => readFloat64(model.get(name));

  /** @type {{ get: () => Knowledge }} */
  const knowledge = derived(model, RADII, () => ({
    certified: numbers("_certified"),
    falsified: numbers("_falsified"),
    tried: numbers("_tried"),
    misclassified: readUint8(model.get("_misclassified")),
    refined: readUint8(model.get("_refined")),
  }));

  const history = derived(model, BOUNDS, () => {
    const n = /** @type {number[]} */ (model.get("indices")).length;
    const newest = { upper: numbers("upper"), lower: numbers("lower"), epsilon: model.get("evaluated_epsilon") };
    const known = [numbers("_history_epsilons"), numbers("_history_upper"), numbers("_history_lower")];
    const withNewest = newest.epsilon !== null && newest.upper.length === n && newest.lower.length === n;
    const [epsilons = [], upper = [], lower = []] = withNewest
      ? [[...(known[0] ?? []), Number(newest.epsilon)], [...(known[1] ?? []), ...newest.upper], [...(known[2] ?? []), ...newest.lower]]
      : known;
    return new History(n, epsilons, upper, lower);
  });

  const bounds = derived(model, ["epsilon", "_proof", "_refutation", ...RADII, ...BOUNDS], () => {
    const epsilon = Number(model.get("epsilon"));
    const { upper, lower } = history.get().at(epsilon);
    const { certified, falsified } = knowledge.get();
    // The bounds that the two radii stand on, each found at an epsilon of its own.
    const [proof, refutation] = [numbers("_proof"), numbers("_refutation")];
    return {
      upper: upper.map((bound, k) => (epsilon <= (certified[k] ?? -Infinity) ? better(Math.min, bound, proof[k]) : bound)),
      lower: lower.map((bound, k) => (epsilon >= (falsified[k] ?? Infinity) ? better(Math.max, bound, refutation[k]) : bound)),
    };
  });
  const verdicts = derived(model, ["epsilon", ...RADII], () => shownVerdicts(knowledge.get(), Number(model.get("epsilon"))));
  const offline = derived(model, OFFLINE, () => Boolean(model.get("_static")) || Boolean(model.get("_lost")));

  /** @param {string} name */
  const whileOnline = (name) => derived(model, [name, ...OFFLINE], () => Boolean(model.get(name)) && !offline.get());
  /** @param {string} name */
  const same = (name) => derived(model, [name], () => model.get(name));
  const selected = () => Number(model.get("selected"));

  /** Traits of the one sample that is selected. */
  const sample = derived(model, ["selected", "indices"], () => {
    return /** @type {number[]} */ (model.get("indices"))[selected()] ?? -1;
  });
  const label = derived(model, ["selected", "labels"], () => readInt32(model.get("labels"))[selected()] ?? -1);

  /**
   * A trait about one sample, empty while another one is selected.
   *
   * @param {string} name
   * @param {string} about the trait with the position of that sample
   */
  const ifAbout = (name, about) =>
    derived(model, [name, about, "selected"], () =>
      selected() >= 0 && model.get(about) === selected() ? model.get(name) : new ArrayBuffer(0),
    );

  /** @type {Record<string, Computed>} */
  const everywhere = { busy: whileOnline("busy"), _static: offline };
  const alwaysFresh = { ...everywhere, ...pick(bounds), evaluated_epsilon: same("epsilon"), verdicts };
  const replaying = derived(
    model,
    ["selected", "epsilon", "_adversarial_sample", ...RADII, ...OFFLINE],
    () => verdicts.get()[selected()] === "non_robust" && model.get("_adversarial_sample") !== selected() && !offline.get(),
  );
  const counterexampleNote = derived(
    model,
    ["selected", "epsilon", "_adversarial_sample", "_adversarial_note", "_adversarial", ...RADII, ...OFFLINE],
    () => noCounterexample(model, verdicts.get()[selected()], offline.get()),
  );

  return {
    verdicts,
    offline,
    bounds,
    slider: scope(model, {
      names: {
        value: "epsilon",
        min: "epsilon_min",
        max: "epsilon_max",
        step: "epsilon_step",
        marks_certified: "_certified",
        marks_falsified: "_falsified",
      },
      fixed: { description: "ε", readout_format: ".4f", continuous_update: true, disabled: false, tooltip: null },
      computed: { ...everywhere, preview: same("epsilon") },
      set: { preview: () => {} },
    }),
    grid: scope(model, { fixed: { error: "", _traceback: "" }, computed: alwaysFresh }),
    histogram: scope(model, { fixed: { error: "" }, computed: alwaysFresh }),
    margins: scope(model, {
      names: { methods: "margin_methods" },
      fixed: { error: "", _traceback: "" },
      computed: {
        ...everywhere,
        _lower: ifAbout("_margin_lower", "_margin_sample"),
        _upper: ifAbout("_margin_upper", "_margin_sample"),
        sample,
        label,
        verdict: derived(model, ["epsilon", "selected", ...RADII], () => verdicts.get()[selected()] ?? "pending"),
        evaluated_epsilon: derived(model, ["_margin_epsilon", "_margin_sample", "selected"], () =>
          selected() >= 0 && model.get("_margin_sample") === selected() ? model.get("_margin_epsilon") : null,
        ),
      },
    }),
    curve: scope(model, {
      names: { min: "epsilon_min", max: "epsilon_max", step: "epsilon_step" },
      fixed: { p: "inf", error: "" },
      computed: { ...everywhere, names: derived(model, ["method"], () => [String(model.get("method"))]) },
    }),
    counterexample: scope(model, {
      names: {
        epsilon: "_adversarial_epsilon",
        present_epsilon: "epsilon",
        distance: "_adversarial_distance",
        replayed: "_replayed",
      },
      fixed: { error: "", _traceback: "" },
      computed: {
        ...everywhere,
        sample,
        label,
        replaying,
        _clean: ifAbout("_clean", "_adversarial_sample"),
        _adversarial: ifAbout("_adversarial", "_adversarial_sample"),
        _clean_logits: ifAbout("_clean_logits", "_adversarial_sample"),
        _adversarial_logits: ifAbout("_adversarial_logits", "_adversarial_sample"),
        note: counterexampleNote,
      },
    }),
  };
}

/**
 * @param {(a: number, b: number) => number} choose
 * @param {number} known NaN for no bound
 * @param {number | undefined} other
 */
function better(choose, known, other) {
  if (other === undefined || Number.isNaN(other)) return known;
  return Number.isNaN(known) ? other : choose(known, other);
}

/** @param {{ from: readonly string[], get: () => { upper: Float64Array, lower: Float64Array } }} bounds */
function pick({ from, get }) {
  return { upper: { from, get: () => get().upper }, lower: { from, get: () => get().lower } };
}

/**
 * @param {Model} model
 * @param {VerdictName | undefined} verdict of the selected sample
 * @param {boolean} offline
 * @returns {string} why there is no counterexample to show, "" if there is one
 */
function noCounterexample(model, verdict, offline) {
  const selected = Number(model.get("selected"));
  if (selected < 0) return "Select a sample to see its counterexample.";
  if (model.get("_adversarial_sample") === selected) {
    const refusal = String(model.get("_adversarial_note") ?? "");
    if (refusal || model.get("_adversarial")?.byteLength > 0) return refusal;
  }
  switch (verdict) {
    case "robust":
      return "Proven robust: no counterexample exists at this ε.";
    case "misclassified":
      return "The unperturbed input is already classified wrongly.";
    case "non_robust":
      return offline ? "The counterexample of this sample was not stored." : "";
    default:
      return "No counterexample is known at this ε.";
  }
}
