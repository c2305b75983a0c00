package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Attention functions of Google's JAX code as a gin configuration names them. */
final class GinAttention {
  private static final Map<String, Kernel> KERNELS =
      Map.ofEntries(
          Map.entry("relu", Kernel.RELU),
          Map.entry("jrelu", Kernel.RELU),
          Map.entry("jcos", Kernel.COS),
          Map.entry("jsin", Kernel.SIN),
          Map.entry("jtanh", Kernel.TANH),
          Map.entry("jsigmoid", Kernel.SIGMOID),
          Map.entry("jgelu", Kernel.GELU),
          Map.entry("jrequ", Kernel.REQU),
          Map.entry("jexp", Kernel.EXP),
          Map.entry("jidentity", Kernel.IDENTITY),
          Map.entry("jshiftedelu", Kernel.SHIFTED_ELU));

  private static final Set<String> SOFTMAX_PARAMETERS =
      Set.of(
          "qkv_dim",
          "renormalize_attention",
          "numerical_stabilizer",
          "nb_features",
          "ortho_features",
          "ortho_scaling",
          "redraw_features",
          "unidirectional",
          "nonnegative_features",
          "lax_scan_unroll");

  private static final Set<String> GENERALIZED_PARAMETERS =
      Set.of(
          "qkv_dim",
          "renormalize_attention",
          "numerical_stabilizer",
          "nb_features",
          "features_type",
          "kernel_fn",
          "kernel_epsilon",
          "redraw_features",
          "unidirectional",
          "lax_scan_unroll");

  private final GinConfig gin;
  private final int headSize;
  private final List<String> notes;

  /**
   * @param headSize D, as the weights have it
   * @param notes gets what a person should know
   */
  GinAttention(GinConfig gin, int headSize, List<String> notes) {
    this.gin = gin;
    this.headSize = headSize;
    this.notes = notes;
  }

  /**
   * An attention entry of our configuration.
   *
   * @param function the value of {@code attention_fn}
   * @param causalModel whether exact attention is causal; FAVOR+ says so itself
   */
  ObjectNode entry(Object function, boolean causalModel) {
    if (function == GinConfig.NONE) {
      return exact(causalModel);
    }
    if (!(function instanceof GinConfig.Reference reference)) {
      throw new PerformerException(
          gin.file() + ": attention_fn is " + function + "; expected None or @function()");
    }
    return switch (reference.name()) {
      case "dot_product_attention" -> exact(causalModel);
      case "make_fast_softmax_attention" -> softmax(reference);
      case "make_fast_generalized_attention" -> generalized(reference);
      default ->
          throw new PerformerException(
              gin.file()
                  + ": attention_fn is "
                  + reference
                  + ", which is not known; known are None, @make_fast_softmax_attention() and"
                  + " @make_fast_generalized_attention()");
    };
  }

  static ObjectNode exact(boolean causal) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("exact", true)
        .put("maskQueries", true)
        .put("causal", causal);
  }

  private ObjectNode softmax(GinConfig.Reference f) {
    checkParameters(f, SOFTMAX_PARAMETERS);
    boolean positive = bool(f, "nonnegative_features", true);
    ObjectNode entry = common(f, positive ? Kernel.SOFTMAX : Kernel.TRIGONOMETRIC, true);
    double stabilizer = number(f, "numerical_stabilizer", 1e-6);
    entry.put("features", features(f));
    entry.put("denominatorEpsilon", stabilizer);
    if (positive) {
      entry.put("epsilon", stabilizer);
    }
    entry.put("directions", bool(f, "ortho_features", true) ? "orthogonal" : "iid");
    double scaling = number(f, "ortho_scaling", 0);
    if (scaling != 0 && scaling != 1) {
      throw wrong(f, "ortho_scaling", scaling, "0 or 1");
    }
    return entry.put("lengths", scaling == 0 ? "chi" : "sqrt-d");
  }

  /** What the function does not take would change nothing here, and is a mistake. */
  private void checkParameters(GinConfig.Reference f, Set<String> known) {
    for (String parameter : gin.parameters(f.scope(), f.name())) {
      if (!known.contains(parameter)) {
        throw new PerformerException(
            "%s: %s has no parameter %s; it has %s"
                .formatted(gin.file(), f.name(), parameter, known.stream().sorted().toList()));
      }
    }
  }

  private ObjectNode generalized(GinConfig.Reference f) {
    checkParameters(f, GENERALIZED_PARAMETERS);
    ObjectNode entry = common(f, kernel(f), false);
    entry.put("epsilon", number(f, "kernel_epsilon", 1e-3));
    entry.put("denominatorEpsilon", number(f, "numerical_stabilizer", 0));
    Object type = value(f, "features_type", "deterministic");
    if (type.equals("deterministic")) {
      return entry.put("features", 0);
    }
    if (!type.equals("ortho") && !type.equals("iid")) {
      throw wrong(f, "features_type", type, "'deterministic', 'ortho' or 'iid'");
    }
    entry.put("directions", type.equals("ortho") ? "orthogonal" : "iid");
    return entry.put("features", features(f));
  }

  private ObjectNode common(GinConfig.Reference f, Kernel kernel, boolean redrawDefault) {
    long size = whole(f, "qkv_dim", headSize);
    if (size != headSize) {
      throw new PerformerException(
          "%s: %s.qkv_dim is %d, but the kernels of queries have heads of %d"
              .formatted(gin.file(), f.name(), size, headSize));
    }
    if (bool(f, "redraw_features", redrawDefault)
        && !value(f, "features_type", "").equals("deterministic")
        && (redrawDefault || gin.value(f.scope(), f.name(), "features_type").isPresent())) {
      notes.add(
          f.name()
              + ".redraw_features is True: Google's code draws new features from the sum of the"
              + " queries at every call, at inference too; here they stay as drawn at construction");
    }
    return JsonNodeFactory.instance
        .objectNode()
        .put("kernel", kernel.label())
        .put("convention", "google-jax")
        .put("causal", bool(f, "unidirectional", false))
        .put("renormalize", bool(f, "renormalize_attention", true));
  }

  private Kernel kernel(GinConfig.Reference f) {
    Object named = value(f, "kernel_fn", new GinConfig.Reference("", "relu", false));
    Kernel kernel =
        named instanceof GinConfig.Reference reference ? KERNELS.get(reference.name()) : null;
    if (kernel == null) {
      throw wrong(f, "kernel_fn", named, "one of " + KERNELS.keySet().stream().sorted().toList());
    }
    return kernel;
  }

  private long features(GinConfig.Reference f) {
    long features = whole(f, "nb_features", 256);
    if (features < 1 || features > 1 << 20) {
      throw wrong(f, "nb_features", features, "a number of features");
    }
    return features;
  }

  private Object value(GinConfig.Reference f, String parameter, Object absent) {
    return gin.value(f.scope(), f.name(), parameter).orElse(absent);
  }

  private boolean bool(GinConfig.Reference f, String parameter, boolean absent) {
    Object value = value(f, parameter, absent);
    if (value instanceof Boolean b) {
      return b;
    }
    throw wrong(f, parameter, value, "True or False");
  }

  private double number(GinConfig.Reference f, String parameter, double absent) {
    Object value = value(f, parameter, absent);
    if (value instanceof Number n && n.doubleValue() >= 0) {
      return n.doubleValue();
    }
    throw wrong(f, parameter, value, "a number of 0 or more");
  }

  private long whole(GinConfig.Reference f, String parameter, long absent) {
    Object value = value(f, parameter, absent);
    if (value instanceof Long n) {
      return n;
    }
    throw wrong(f, parameter, value, "a whole number");
  }

  private PerformerException wrong(
      GinConfig.Reference f, String parameter, Object value, String expected) {
    return new PerformerException(
        "%s: %s.%s is %s; expected %s".formatted(gin.file(), f.name(), parameter, value, expected));
  }
}
