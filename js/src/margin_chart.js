import { marginChart } from "./views/margin_chart.js";

export default { render: marginChart };
