package dev.performer.server.models;

/**
 * How far a version of a model is, as TensorFlow Serving's ModelService has it.
 *
 * @param code {@link Code#OK}, unless it could not be loaded
 * @param error one line; empty where there is none
 */
public record ModelStatus(long version, State state, Code code, String error) {
  /** From being found to being freed, in this order. */
  public enum State {
    START,
    LOADING,
    AVAILABLE,
    UNLOADING,
    END
  }

  /** The codes of errors that occur here, with the numbers that gRPC has for them. */
  public enum Code {
    OK(0),
    UNKNOWN(2),
    RESOURCE_EXHAUSTED(8);

    private final int number;

    Code(int number) {
      this.number = number;
    }

    public int number() {
      return number;
    }
  }

  static ModelStatus of(long version, State state) {
    return new ModelStatus(version, state, Code.OK, "");
  }
}
