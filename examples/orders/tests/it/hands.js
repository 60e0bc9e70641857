"use strict";
const until = async look => {
  for (;;) {
    const found = look();
    if (found) return found;
    await new Promise(next => setTimeout(next, 20));
  }
};
const pieces = () => document.querySelector('[aria-label="pieces of Jumpers"]');
(async () => {
  (await until(pieces)).value = "5";
  pieces().form.querySelector("button").click();
  // The row is drawn anew once the stock is counted.
  await until(() => pieces()?.closest("tr").children[2].textContent === "5");
  const order = document.getElementById("order");
  order.elements.quantity.value = "2";
  order.elements.customerId.value = "3";
  order.querySelector("button").click();
  // In the list, which hears of a verdict however long it takes.
  await until(() => document.querySelector("#orders .steps > .step:last-child")?.textContent === "validated");
  await fetch("/told", { method: "POST" });
})();
