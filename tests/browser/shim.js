// The part of a notebook that the widgets need: models that hold state, and views of them.

class Model {
  #state;
  #dirty = {};
  #handlers = new Map();
  outbox = [];

  constructor(state) {
    this.#state = state;
  }

  get(name) {
    return this.#state[name];
  }

  set(name, value) {
    this.#dirty[name] = value;
    this.#assign({ [name]: value });
  }

  save_changes() {
    if (Object.keys(this.#dirty).length > 0) {
      this.outbox.push({ method: "update", state: this.#dirty });
      this.#dirty = {};
    }
  }

  send(content) {
    this.outbox.push({ method: "custom", content });
  }

  on(event, handler) {
    if (!this.#handlers.has(event)) this.#handlers.set(event, new Set());
    this.#handlers.get(event).add(handler);
  }

  off(event, handler) {
    this.#handlers.get(event)?.delete(handler);
  }

  get handlerCount() {
    return [...this.#handlers.values()].reduce((sum, handlers) => sum + handlers.size, 0);
  }

  receive(state) {
    this.#assign(state);
  }

  // All values are there before the first handler runs, as in Backbone.
  #assign(state) {
    const changed = Object.keys(state).filter((name) => !same(this.#state[name], state[name]));
    Object.assign(this.#state, state);
    for (const name of changed) {
      for (const handler of this.#handlers.get(`change:${name}`) ?? []) handler();
    }
  }
}

function same(a, b) {
  if (a instanceof DataView && b instanceof DataView) {
    const [one, two] = [a, b].map((view) => String(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)));
    return one === two;
  }
  return JSON.stringify(a) === JSON.stringify(b);
}

function decode(state) {
  const decoded = { ...state };
  for (const [name, value] of Object.entries(state)) {
    if (value?.$binary === undefined) continue;
    const bytes = Uint8Array.from(atob(value.$binary), (character) => character.charCodeAt(0));
    // Off by one byte: buffers of a kernel message start anywhere.
    const message = new Uint8Array(bytes.length + 1);
    message.set(bytes, 1);
    decoded[name] = new DataView(message.buffer, 1);
  }
  return decoded;
}

globalThis.shim = {
  models: [],
  views: [],

  async show(number, state, parent) {
    this.models[number] ??= new Model(decode(state));
    const model = this.models[number];
    if (!document.getElementById(state._anywidget_id)) {
      const style = document.createElement("style");
      style.id = state._anywidget_id;
      style.textContent = state._css;
      document.head.append(style);
    }
    const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
    const module = await import(url);
    const el = document.createElement("div");
    document.querySelector(parent).append(el);
    const close = await module.default.render({ model, el });
    this.views.push({ el, close, model });
  },

  take(number) {
    return this.models[number].outbox.splice(0);
  },

  update(number, state) {
    this.models[number].receive(decode(state));
  },

  closeAll() {
    for (const { el, close } of this.views.splice(0)) {
      close?.();
      el.remove();
    }
    return this.models.map((model) => model.handlerCount);
  },
};
