#!/usr/bin/env node
// @ts-check
import { launch } from "./launch.js";

void launch(() => import("./conformance-run.js"));
