package dev.performer.checkpoint;

import dev.performer.attention.Convention;
import dev.performer.attention.Kernel;
import dev.performer.attention.Threefry;
import java.nio.file.Path;

/**
 * What is said about a checkpoint beside what it holds itself; null where nothing is said.
 *
 * @param preset the configuration that it is expected to fit, such as {@code protein-lm}
 * @param config file with its configuration: config.gin, JSON or YAML; null looks beside it
 * @param attention {@code exact} or {@code favor}
 * @param kernel of FAVOR+
 * @param features rows of the projection; 0 for none
 * @param convention whose constants and guards
 * @param seed of the projection (of the first layer)
 * @param causal whether it is a causal model
 * @param heads number of attention heads, where no shape tells
 * @param mapping file that maps our variable names to the file's
 * @param allowMissing whether missing, superfluous and mis-shaped tensors are no error
 * @param threefry the stream of JAX's random numbers; null for the legacy one
 */
public record ImportOptions(
    String preset,
    Path config,
    String attention,
    Kernel kernel,
    Integer features,
    Convention convention,
    Long seed,
    Boolean causal,
    Integer heads,
    Path mapping,
    boolean allowMissing,
    Threefry.Stream threefry) {

  /** Nothing is said. */
  public static final ImportOptions NONE =
      new ImportOptions(null, null, null, null, null, null, null, null, null, null, false, null);

  /** Whether something is said about attention. */
  public boolean saysAttention() {
    return attention != null || kernel != null || features != null || convention != null;
  }
}
