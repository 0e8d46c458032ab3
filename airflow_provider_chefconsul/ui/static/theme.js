// Follows Airflow's light or dark theme inside Airflow; elsewhere board.css follows the system's.

export function followTheme() {
  let airflow;
  try {
    if (window.parent === window) return;
    airflow = window.parent.document.documentElement;
  } catch {
    return; // framed by another origin
  }
  const adopt = () => {
    const theme = ["dark", "light"].find((name) => airflow.classList.contains(name));
    if (theme) document.documentElement.dataset.theme = theme;
  };
  adopt();
  new MutationObserver(adopt).observe(airflow, { attributes: true, attributeFilter: ["class"] });
}
