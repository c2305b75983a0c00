package dev.performer.server.models;

import java.util.concurrent.atomic.AtomicBoolean;

/** The use of a model by one request: until it is closed, the model stays loaded. */
public final class Lease implements AutoCloseable {
  private final ServedModel model;
  private final AtomicBoolean isClosed = new AtomicBoolean();

  Lease(ServedModel model) {
    this.model = model;
  }

  /** The model; not to be used once this is closed. */
  public ServedModel model() {
    return model;
  }

  @Override
  public void close() {
    if (isClosed.compareAndSet(false, true)) {
      model.release();
    }
  }
}
