import { explorer } from "./views/explorer.js";

export default { render: explorer };
