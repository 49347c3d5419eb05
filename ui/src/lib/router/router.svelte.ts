// Where the window is. The address in the hash is the state, so that back and forward work.
import { href, parsePlace, type ParamsOf, type Place, type RouteName } from "./routes";

const home: Place = { name: "today", params: {}, query: {} };

class Router {
  place = $state.raw<Place>(parsePlace(window.location.hash) ?? home);

  constructor() {
    window.addEventListener("hashchange", () => {
      this.place = parsePlace(window.location.hash) ?? home;
    });
  }

  go<N extends RouteName>(name: N, params: ParamsOf<N>, query: Record<string, string> = {}) {
    window.location.hash = href(name, params, query);
  }

  /** Changes the address without a step in the history. */
  replace<N extends RouteName>(name: N, params: ParamsOf<N>, query: Record<string, string> = {}) {
    history.replaceState(null, "", href(name, params, query));
    this.place = parsePlace(window.location.hash) ?? home;
  }
}

export const router = new Router();
