package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorConfig.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.checkpoint.GinConfig.Reference;
import dev.performer.model.AttentionConfig;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** Attention functions of Google's JAX code as a gin configuration names them. */
final class GinAttention {
  private static final Set<String> COMMON_PARAMETERS =
      Set.of(
          ("qkv_dim renormalize_attention numerical_stabilizer nb_features redraw_features"
                  + " unidirectional lax_scan_unroll")
              .split(" "));

  private final GinConfig gin;
  private final int headSize;
  private final WeightMap map;

  /** For heads of {@code headSize}, as the weights have it; the map gets notes. */
  GinAttention(GinConfig gin, int headSize, WeightMap map) {
    this.gin = gin;
    this.headSize = headSize;
    this.map = map;
  }

  /** How the layers attend; FAVOR+ has its own argument for causality. */
  AttentionConfig attention(Object function, boolean causalModel) {
    String name =
        function == GinConfig.NONE
            ? "dot_product_attention"
            : function instanceof Reference reference ? reference.name() : "";
    return switch (name) {
      case "dot_product_attention" -> exact(causalModel);
      case "make_fast_softmax_attention" -> new AttentionConfig.Favor(softmax(of(function)));
      case "make_fast_generalized_attention" ->
          new AttentionConfig.Favor(generalized(of(function)));
      default ->
          throw new PerformerException(
              "%s: attention_fn is %s; expected None, @make_fast_softmax_attention() or @make_fast_generalized_attention()"
                  .formatted(gin.file(), function));
    };
  }

  private GinParameters of(Object function) {
    Reference f = (Reference) function;
    return new GinParameters(gin, f.scope(), f.name(), f.name());
  }

  /** Softmax attention as Flax has it. */
  static AttentionConfig exact(boolean causal) {
    return new AttentionConfig.Exact(causal, true);
  }

  private FavorConfig softmax(GinParameters f) {
    requireOnly(f, "ortho_features", "ortho_scaling", "nonnegative_features");
    double scaling = f.number("ortho_scaling", 0, x -> x == 0 || x == 1, "0 or 1");
    boolean isOrthogonal = f.bool("ortho_features", true);
    String creator = f.bool("nonnegative_features", true) ? "nonnegative" : "sincos";
    noteRedraw(f, f.bool("redraw_features", true));
    return common(f, 1e-6)
        .kernel(
            Kernel.named(Code.JAX_SOFTMAX, creator + "_softmax_kernel_feature_creator")
                .orElseThrow())
        .features(features(f))
        .directions(isOrthogonal ? Directions.ORTHOGONAL : Directions.IID)
        // Independent rows stay as drawn, whatever the scaling.
        .lengths(isOrthogonal && scaling == 1 ? Lengths.SQRT_D : Lengths.CHI)
        .build();
  }

  private FavorConfig generalized(GinParameters f) {
    requireOnly(f, "features_type", "kernel_fn", "kernel_epsilon");
    Object type = f.value("features_type", "deterministic");
    if (!Set.of("deterministic", "ortho", "iid").contains(type)) {
      throw f.wrong("features_type", type, "'deterministic', 'ortho' or 'iid'");
    }
    boolean isDrawn = !type.equals("deterministic");
    noteRedraw(f, f.bool("redraw_features", false) && isDrawn);
    return common(f, 0)
        .kernel(kernel(f))
        .features(isDrawn ? features(f) : 0)
        .epsilon(positive(f, "kernel_epsilon", 1e-3))
        .directions(type.equals("iid") ? Directions.IID : Directions.ORTHOGONAL)
        .build();
  }

  private static void requireOnly(GinParameters f, String... own) {
    Set<String> known = new TreeSet<>(COMMON_PARAMETERS);
    known.addAll(Set.of(own));
    f.requireOnly(known);
  }

  private void noteRedraw(GinParameters f, boolean isRedrawn) {
    if (isRedrawn) {
      map.note(
          f.name()
              + ".redraw_features is True: Google's code draws new features from the sum of the"
              + " queries at every call, at inference too; here they stay as drawn at construction");
    }
  }

  private FavorKeys common(GinParameters f, double stabilizer) {
    long size = f.whole("qkv_dim", headSize);
    if (size != headSize) {
      throw f.wrong("qkv_dim", size, "the size of the heads, " + headSize);
    }
    return FavorConfig.builder()
        .convention(Convention.GOOGLE_JAX)
        .causal(f.bool("unidirectional", false))
        .renormalize(f.bool("renormalize_attention", true))
        .numericalStabilizer(positive(f, "numerical_stabilizer", stabilizer));
  }

  private static Kernel kernel(GinParameters f) {
    Object named = f.value("kernel_fn", new Reference("", "relu", false));
    return Optional.of(named)
        .filter(Reference.class::isInstance)
        .flatMap(reference -> Kernel.named(Code.JAX, ((Reference) reference).name()))
        .orElseThrow(() -> f.wrong("kernel_fn", named, "one of " + Kernel.allNames(Code.JAX)));
  }

  private static int features(GinParameters f) {
    long features = f.whole("nb_features", 256);
    if (features < 1 || features > 1 << 20) {
      throw f.wrong("nb_features", features, "a number of features");
    }
    return (int) features;
  }

  private static double positive(GinParameters f, String key, double absent) {
    return f.number(key, absent, x -> x >= 0, "a number of 0 or more");
  }
}
