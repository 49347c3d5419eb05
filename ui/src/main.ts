import { mount } from "svelte";
import "./app.css";
import App from "./App.svelte";
import { app } from "$lib/state/app.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
mount(App, { target });
void app.start();
