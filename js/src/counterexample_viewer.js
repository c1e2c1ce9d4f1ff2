import { counterexampleViewer } from "./views/counterexample_viewer.js";

export default { render: counterexampleViewer };
