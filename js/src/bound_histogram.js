import { boundHistogram } from "./views/bound_histogram.js";

export default { render: boundHistogram };
