// Runs before the first paint, so that a page with a chosen theme never flashes in the other one.
import { storedTheme, applyTheme } from "./data/theme";

applyTheme(document.documentElement, storedTheme());
