import { relaxationPlot } from "./views/relaxation_plot.js";

export default { render: relaxationPlot };
