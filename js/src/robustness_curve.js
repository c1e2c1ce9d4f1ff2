import { robustnessCurve } from "./views/robustness_curve.js";

export default { render: robustnessCurve };
