// Says why a browser gives no microphone; of every cause Gradio's recorder says that there is none.
"use strict";
(() => {
  const UPLOAD = "or upload a recording.";
  const INSECURE = `A browser gives its microphone to pages of https and of its own machine alone. Open the demo by https, ${UPLOAD}`;
  const REASONS = {
    NotAllowedError: `The browser does not let this page use the microphone. Allow it in the settings of this page, ${UPLOAD}`,
    NotFoundError: `The browser finds no microphone. Connect one, ${UPLOAD}`,
    NotReadableError: `The microphone cannot be opened; another program may have it. Close that one, ${UPLOAD}`,
  };
  const tell = (text) => {
    const line = document.getElementById("microphone-trouble");
    if (line) { line.textContent = text; line.hidden = text === ""; }
  };
  const devices = navigator.mediaDevices; // undefined on a page that is not secure
  if (devices === undefined) {
    document.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("#recording button")) tell(INSECURE);
    });
    return;
  }
  const own = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => {
    try {
      const stream = await own(wanted);
      tell("");
      return stream;
    } catch (error) {
      tell(REASONS[error.name] ?? `The microphone cannot be used: ${error.message}`);
      throw error;
    }
  };
})();
