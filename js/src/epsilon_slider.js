import { epsilonSlider } from "./views/epsilon_slider.js";

export default { render: epsilonSlider };
