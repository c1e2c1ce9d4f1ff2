// Written by `python -m tests.traits_schema` from the Python classes.

export interface BoundBandTraits {
  _edges: DataView; // float64
  _lower: DataView; // float64
  _lower_offset: DataView; // float64
  _lower_slope: DataView; // float64
  _static: boolean;
  _traceback: string;
  _upper: DataView; // float64
  _upper_offset: DataView; // float64
  _upper_slope: DataView; // float64
  _x: DataView; // float64
  _y: DataView; // float64
  busy: boolean;
  elapsed: number;
  error: string;
  form: string;
  interval: [number, number];
  method: string;
  methods: string[];
  n_pieces: number;
  name: string;
  x_range: [number, number];
}

export interface BoundHistogramTraits {
  _static: boolean;
  bins: number;
  brushed: number[];
  busy: boolean;
  epsilon: number;
  error: string;
  evaluated_epsilon: number | null;
  lower: DataView; // float64
  upper: DataView; // float64
  verdicts: string[];
}

export interface CounterexampleViewerTraits {
  _adversarial: DataView; // float64
  _adversarial_logits: DataView; // float64
  _clean: DataView; // float64
  _clean_logits: DataView; // float64
  _image_shape: number[];
  _input_shape: number[];
  _kind: string;
  _outputs: string;
  _static: boolean;
  _traceback: string;
  _value_range: DataView; // float64
  amplification: number | null;
  class_names: string[];
  distance: number | null;
  epsilon: number;
  error: string;
  feature_names: string[];
  label: number;
  note: string;
  present_epsilon: number | null;
  replayed: boolean;
  replaying: boolean;
  sample: number;
}

export interface EpsilonSliderTraits {
  _static: boolean;
  continuous_update: boolean;
  description: string;
  disabled: boolean;
  log: boolean;
  marks_certified: DataView; // float64
  marks_falsified: DataView; // float64
  max: number;
  min: number;
  preview: number;
  readout_format: string;
  step: number;
  unit: string;
  value: number;
}

export interface MarginChartTraits {
  _lower: DataView; // float64
  _static: boolean;
  _traceback: string;
  _upper: DataView; // float64
  busy: boolean;
  class_names: string[];
  elapsed: number;
  epsilon: number | null;
  error: string;
  evaluated_epsilon: number | null;
  label: number;
  methods: string[];
  order: "index" | "upper";
  sample: number;
  verdict: string;
}

export interface RelaxationPlotTraits {
  _edges: DataView; // float64
  _has_slope: boolean;
  _lower: DataView; // float64
  _lower_offset: DataView; // float64
  _lower_slope: DataView; // float64
  _static: boolean;
  _traceback: string;
  _upper: DataView; // float64
  _upper_offset: DataView; // float64
  _upper_slope: DataView; // float64
  _x: DataView; // float64
  _y: DataView; // float64
  activation: string;
  activations: string[];
  busy: boolean;
  elapsed: number;
  error: string;
  interval: [number, number];
  name: string;
  slope: string;
  slopes: string[];
  x_range: [number, number];
}

export interface RobustnessCurveTraits {
  _certified: DataView; // float64
  _falsified: DataView; // float64
  _misclassified: DataView; // uint8
  _static: boolean;
  epsilon: number;
  max: number;
  names: string[];
  p: string;
  step: number;
}

export interface RobustnessExplorerTraits {
  _adversarial: DataView; // float64
  _adversarial_distance: number;
  _adversarial_epsilon: number;
  _adversarial_logits: DataView; // float64
  _adversarial_note: string;
  _adversarial_sample: number;
  _certified: DataView; // float64
  _clean: DataView; // float64
  _clean_logits: DataView; // float64
  _falsified: DataView; // float64
  _history_epsilons: DataView; // float64
  _history_lower: DataView; // float64
  _history_upper: DataView; // float64
  _image_shape: number[];
  _input_shape: number[];
  _kind: string;
  _margin_epsilon: number;
  _margin_lower: DataView; // float64
  _margin_sample: number;
  _margin_upper: DataView; // float64
  _misclassified: DataView; // uint8
  _outputs: string;
  _pictures: DataView; // uint8
  _proof: DataView; // float64
  _refined: DataView; // uint8
  _refutation: DataView; // float64
  _replayed: boolean;
  _static: boolean;
  _traceback: string;
  _tried: DataView; // float64
  _value_range: DataView; // float64
  bins: number;
  brushed: number[];
  busy: boolean;
  can_undo: boolean;
  class_names: string[];
  columns: number;
  descending: boolean;
  elapsed: number;
  epsilon: number;
  epsilon_max: number;
  epsilon_min: number;
  epsilon_step: number;
  error: string;
  evaluated_epsilon: number | null;
  feature_names: string[];
  finetune: boolean;
  indices: number[];
  labels: DataView; // int32
  log: boolean;
  lower: DataView; // float64
  margin_methods: string[];
  method: string;
  methods: string[];
  n_sub_boxes: number;
  pinned: number[];
  predictions: DataView; // int32
  provenance: string;
  reasons: string[];
  refine: boolean;
  refining: boolean;
  seed: number;
  selected: number;
  settle_done: number;
  settle_note: string;
  settle_timeout: number;
  settle_total: number;
  settling: boolean;
  shown: string[];
  sort_by: string;
  unit: "value" | "255";
  upper: DataView; // float64
  verdicts: ("robust" | "non_robust" | "unknown" | "misclassified" | "pending")[];
}

export interface SampleGridTraits {
  _certified: DataView; // float64
  _falsified: DataView; // float64
  _image_shape: number[];
  _kind: string;
  _misclassified: DataView; // uint8
  _pictures: DataView; // uint8
  _proof: DataView; // float64
  _refined: DataView; // uint8
  _refutation: DataView; // float64
  _static: boolean;
  _traceback: string;
  _tried: DataView; // float64
  _value_range: DataView; // float64
  brushed: number[];
  busy: boolean;
  can_undo: boolean;
  class_names: string[];
  columns: number;
  descending: boolean;
  elapsed: number;
  epsilon: number;
  error: string;
  evaluated_epsilon: number | null;
  feature_names: string[];
  indices: number[];
  labels: DataView; // int32
  lower: DataView; // float64
  n_sub_boxes: number;
  pinned: number[];
  predictions: DataView; // int32
  reasons: string[];
  seed: number;
  selected: number;
  shown: string[];
  sort_by: string;
  upper: DataView; // float64
  verdicts: ("robust" | "non_robust" | "unknown" | "misclassified" | "pending")[];
}
