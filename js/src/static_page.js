import { StaticModel, readState } from "./lib/static_model.js";

/** @import { RenderProps } from "./lib/types.js" */

/** @param {string} id */
const text = (id) => document.getElementById(id)?.textContent ?? "";

// The widget's own module is text in the page: a page opened from a file may not load others beside it.
const source = new Blob([JSON.parse(text("dcm-module"))], { type: "text/javascript" });
const address = URL.createObjectURL(source);
const module = /** @type {{ default: { render: (props: RenderProps) => unknown } }} */ (await import(address));
URL.revokeObjectURL(address);
const el = document.getElementById("dcm-widget");
if (el) await module.default.render({ model: new StaticModel(readState(text("dcm-state"))), el });
