import { boundBand } from "./views/bound_band.js";

export default { render: boundBand };
