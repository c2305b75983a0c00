package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.model.AttentionConfig;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Attention functions of Google's JAX code as a gin configuration names them. */
final class GinAttention {
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
   * How the layers attend.
   *
   * @param function the value of {@code attention_fn}
   * @param causalModel whether exact attention is causal; FAVOR+ has an argument for it
   */
  AttentionConfig attention(Object function, boolean causalModel) {
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

  /** Softmax attention as Flax has it. */
  static AttentionConfig exact(boolean causal) {
    return new AttentionConfig.Exact(causal, true);
  }

  private AttentionConfig softmax(GinConfig.Reference f) {
    checkParameters(f, SOFTMAX_PARAMETERS);
    double scaling = number(f, "ortho_scaling", 0);
    if (scaling != 0 && scaling != 1) {
      throw wrong(f, "ortho_scaling", scaling, "0 or 1");
    }
    boolean isOrthogonal = bool(f, "ortho_features", true);
    String creator = bool(f, "nonnegative_features", true) ? "nonnegative" : "sincos";
    return new AttentionConfig.Favor(
        common(f, true)
            .kernel(
                Kernel.named(Code.JAX_SOFTMAX, creator + "_softmax_kernel_feature_creator")
                    .orElseThrow())
            .features(features(f))
            .numericalStabilizer(number(f, "numerical_stabilizer", 1e-6))
            .directions(isOrthogonal ? Directions.ORTHOGONAL : Directions.IID)
            // Independent rows stay as drawn, whatever the scaling.
            .lengths(isOrthogonal && scaling == 1 ? Lengths.SQRT_D : Lengths.CHI)
            .build());
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

  private AttentionConfig generalized(GinConfig.Reference f) {
    checkParameters(f, GENERALIZED_PARAMETERS);
    Object type = value(f, "features_type", "deterministic");
    if (!List.of("deterministic", "ortho", "iid").contains(type)) {
      throw wrong(f, "features_type", type, "'deterministic', 'ortho' or 'iid'");
    }
    return new AttentionConfig.Favor(
        common(f, false)
            .kernel(kernel(f))
            .features(type.equals("deterministic") ? 0 : features(f))
            .epsilon(number(f, "kernel_epsilon", 1e-3))
            .numericalStabilizer(number(f, "numerical_stabilizer", 0))
            .directions(type.equals("iid") ? Directions.IID : Directions.ORTHOGONAL)
            .build());
  }

  private FavorKeys common(GinConfig.Reference f, boolean redrawDefault) {
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
    return FavorConfig.builder()
        .convention(Convention.GOOGLE_JAX)
        .causal(bool(f, "unidirectional", false))
        .renormalize(bool(f, "renormalize_attention", true));
  }

  private Kernel kernel(GinConfig.Reference f) {
    Object named = value(f, "kernel_fn", new GinConfig.Reference("", "relu", false));
    return (named instanceof GinConfig.Reference reference
            ? Kernel.named(Code.JAX, reference.name())
            : Optional.<Kernel>empty())
        .orElseThrow(() -> wrong(f, "kernel_fn", named, "one of " + Kernel.allNames(Code.JAX)));
  }

  private int features(GinConfig.Reference f) {
    long features = whole(f, "nb_features", 256);
    if (features < 1 || features > 1 << 20) {
      throw wrong(f, "nb_features", features, "a number of features");
    }
    return (int) features;
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
