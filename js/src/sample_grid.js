import { sampleGrid } from "./views/sample_grid.js";

export default { render: sampleGrid };
