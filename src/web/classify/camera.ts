import { mismatch } from "../../support/error.ts";

/** The device's camera, shown in a video element. */
export class Camera {
  private readonly video: HTMLVideoElement;
  private readonly stream: MediaStream;
  private running = true;

  private constructor(video: HTMLVideoElement, stream: MediaStream) {
    this.video = video;
    this.stream = stream;
  }

  /** Asks for the camera; rejects with an Error in one sentence where there is none or it is not allowed. */
  static async start(video: HTMLVideoElement): Promise<Camera> {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      await video.play();
      return new Camera(video, stream);
    } catch (cause) {
      const found = navigator.mediaDevices ? (cause as Error).message : "that this page may not use one";
      const advice = "connect one and allow this page to see it";
      throw mismatch("no-device", "camera", "one to use", `none (${found})`, advice, cause);
    }
  }

  /** Hands over one frame after another, each when the one before has been dealt with; ends at `stop`. */
  async frames(use: (frame: ImageBitmap) => Promise<void>): Promise<void> {
    while (this.running) {
      await new Promise(requestAnimationFrame);
      if (!this.running || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      await use(await createImageBitmap(this.video));
    }
  }

  stop(): void {
    this.running = false;
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}
