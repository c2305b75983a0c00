package dev.performer.checkpoint;

import static dev.performer.checkpoint.GinConfig.words;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.checkpoint.GinConfig.Parameters;
import dev.performer.checkpoint.GinConfig.Reference;
import dev.performer.checkpoint.ImportOptions.AttentionKind;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import java.util.Optional;
import java.util.Set;

/** Attention of Google's JAX code, as gin names its functions, and what options give over that. */
record JaxAttention(GinConfig gin, int headSize, WeightMap map) {
  private static final String COMMON =
      "qkv_dim renormalize_attention numerical_stabilizer nb_features redraw_features unidirectional lax_scan_unroll ";

  /** Whether the options give enough to do without a configuration. */
  static boolean isGiven(ImportOptions options) {
    return options.favor().kernel() != null || options.attention() == AttentionKind.EXACT;
  }

  /** How the layers attend, over the base of a file, or null; {@code causal} if nothing tells. */
  static AttentionConfig over(AttentionConfig base, boolean causal, WeightMap map) {
    FavorKeys given = map.options.favor();
    AttentionConfig chosen = base;
    boolean isBase =
        given.kernel() == null
            || base instanceof AttentionConfig.Favor favor && favor.kernel() == given.kernel();
    if (map.options.attention() == AttentionKind.EXACT) {
      chosen = new AttentionConfig.Exact(causal, true);
    } else if (!isBase) {
      FavorKeys google = FavorConfig.builder().convention(Convention.GOOGLE_JAX).causal(causal);
      chosen = new AttentionConfig.Favor(google.kernel(given.kernel()).build());
      if (given.kernel().isSoftmax() && given.features() == null) {
        map.note("the number of features was not given: 256, Google's default");
      }
    }
    if (base != null && !chosen.equals(base)) {
      String other = "attention is as given, %s, and not as the configuration has it: %s";
      map.note(other, StrictJson.tree(chosen), StrictJson.tree(base));
    }
    if (!(chosen instanceof AttentionConfig.Favor kernels)) {
      return given.causal() == null ? chosen : chosen.withCausality(given.causal());
    }
    FavorKeys keys = kernels.config().toBuilder();
    if (given.convention() != null) {
      keys.maskKeys(given.convention().masksKeys());
    }
    FavorConfig favor = given.over(keys).build();
    if (favor.hasProjection()) {
      String drawn =
          "the projection is not in the file: drawn as Google's code draws it at construction, PRNGKey(%d), draw %s; all layers share it";
      map.note(drawn, favor.seed(), favor.draw().label());
    }
    return new AttentionConfig.Favor(favor);
  }

  /** What a function of gin's computes; FAVOR+ has its own argument for causality. */
  AttentionConfig of(Object function, boolean causalModel) {
    var exact = new AttentionConfig.Exact(causalModel, true);
    if (function == GinConfig.NONE) {
      return exact;
    }
    Reference f = function instanceof Reference r ? r : new Reference("", "", false);
    var parameters = new Parameters(gin, f.scope(), f.name(), f.name());
    return switch (f.name()) {
      case "dot_product_attention" -> exact;
      case "make_fast_softmax_attention" -> new AttentionConfig.Favor(softmax(parameters));
      case "make_fast_generalized_attention" -> new AttentionConfig.Favor(generalized(parameters));
      default ->
          throw new PerformerException(
              "%s: attention_fn is %s; expected None, @make_fast_softmax_attention() or @make_fast_generalized_attention()"
                  .formatted(gin.file(), function));
    };
  }

  private FavorConfig softmax(Parameters f) {
    f.requireOnly(words(COMMON + "ortho_features ortho_scaling nonnegative_features"));
    double scaling = f.number("ortho_scaling", 0, x -> x == 0 || x == 1, "0 or 1");
    boolean isOrthogonal = f.bool("ortho_features", true);
    String creator = f.bool("nonnegative_features", true) ? "nonnegative" : "sincos";
    String kernel = creator + "_softmax_kernel_feature_creator";
    noteRedraw(f, f.bool("redraw_features", true));
    return common(f, 1e-6)
        .kernel(Kernel.named(Code.JAX_SOFTMAX, kernel).orElseThrow())
        .features(features(f))
        .directions(isOrthogonal ? Directions.ORTHOGONAL : Directions.IID)
        // Independent rows stay as drawn, whatever the scaling.
        .lengths(isOrthogonal && scaling == 1 ? Lengths.SQRT_D : Lengths.CHI)
        .build();
  }

  private FavorConfig generalized(Parameters f) {
    f.requireOnly(words(COMMON + "features_type kernel_fn kernel_epsilon"));
    Object type = f.value("features_type", "deterministic");
    if (!Set.of("deterministic", "ortho", "iid").contains(type)) {
      throw f.wrong("features_type", type, "'deterministic', 'ortho' or 'iid'");
    }
    boolean isDrawn = !type.equals("deterministic");
    Object named = f.value("kernel_fn", new Reference("", "relu", false));
    Optional<Kernel> kernel =
        named instanceof Reference r ? Kernel.named(Code.JAX, r.name()) : Optional.empty();
    String known = "one of " + Kernel.allNames(Code.JAX);
    noteRedraw(f, f.bool("redraw_features", false) && isDrawn);
    return common(f, 0)
        .kernel(kernel.orElseThrow(() -> f.wrong("kernel_fn", named, known)))
        .features(isDrawn ? features(f) : 0)
        .epsilon(positive(f, "kernel_epsilon", 1e-3))
        .directions(type.equals("iid") ? Directions.IID : Directions.ORTHOGONAL)
        .build();
  }

  private void noteRedraw(Parameters f, boolean isRedrawn) {
    if (isRedrawn) {
      String redrawn =
          "%s.redraw_features is True: Google's code draws new features from the sum of the queries at every call, at inference too; here they stay as drawn at construction";
      map.note(redrawn, f.name());
    }
  }

  private FavorKeys common(Parameters f, double stabilizer) {
    f.whole("qkv_dim", headSize, n -> n == headSize, "the size of the heads, " + headSize);
    return FavorConfig.builder()
        .convention(Convention.GOOGLE_JAX)
        .causal(f.bool("unidirectional", false))
        .renormalize(f.bool("renormalize_attention", true))
        .numericalStabilizer(positive(f, "numerical_stabilizer", stabilizer));
  }

  private static int features(Parameters f) {
    return (int) f.whole("nb_features", 256, n -> n >= 1 && n <= 1 << 20, "a number of features");
  }

  private static double positive(Parameters f, String key, double absent) {
    return f.number(key, absent, x -> x >= 0, "a number of 0 or more");
  }
}
