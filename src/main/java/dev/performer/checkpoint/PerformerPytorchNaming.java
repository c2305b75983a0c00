package dev.performer.checkpoint;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.model.AttentionConfig;
import java.util.Map;

/** {@code PerformerLM} of performer-pytorch. Projections are in the file; kernel, causality not. */
final class PerformerPytorchNaming implements NamingScheme {
  private static final NameTable NAMES =
      new NameTable(
          Layout.LINEAR,
          "",
          """
          token_emb(?:.emb)? -> embeddings/token
          pos_emb(?:.emb)? -> embeddings/position
          (?:.*\\.)?net.(?:layers.)+{i}.0.norm -> layer_{i}/attention_norm
          (?:.*\\.)?net.(?:layers.)+{i}.0.fn.to_q -> layer_{i}/attention/query
          (?:.*\\.)?net.(?:layers.)+{i}.0.fn.to_k -> layer_{i}/attention/key
          (?:.*\\.)?net.(?:layers.)+{i}.0.fn.to_v -> layer_{i}/attention/value
          (?:.*\\.)?net.(?:layers.)+{i}.0.fn.to_out -> layer_{i}/attention/output
          (?:.*\\.)?net.(?:layers.)+{i}.0.fn.fast_attention -> layer_{i}/attention
          (?:.*\\.)?net.(?:layers.)+{i}.1.norm -> layer_{i}/mlp_norm
          (?:.*\\.)?net.(?:layers.)+{i}.1.(?:fn.)+w1 -> layer_{i}/mlp/in
          (?:.*\\.)?net.(?:layers.)+{i}.1.(?:fn.)+w2 -> layer_{i}/mlp/out
          norm -> final_norm
          to_out -> head/logits
          """);
  private static final String PROJECTION = "fast_attention.projection_matrix";

  /** Parts of names that tell what cannot be expressed. */
  private static final Map<String, String> VARIANTS =
      Map.of(
          ".*layer_pos_emb.*", "rotary positions beside absolute ones (rotary_position_emb=True)",
          ".*net\\.blocks\\..*", "reversible layers (reversible=True)",
          ".*local_attn.*", "local attention heads (local_attn_heads above 0)",
          ".*axial.*", "axial positions",
          ".*\\.g", "ScaleNorm or ReZero (use_scalenorm, use_rezero)");

  @Override
  public boolean recognizes(WeightFile file) {
    return file.tensors().keySet().stream()
        .anyMatch(n -> n.contains(PROJECTION) || n.matches("(.*\\.)?net\\..*\\.to_q\\.weight"));
  }

  @Override
  public ModelWeights map(WeightMap map) {
    map.file.tensors().keySet().forEach(tensor -> place(map, tensor));
    map.check(map.has("embeddings/token"), "there is no token_emb: import a whole PerformerLM");
    boolean isFavor = map.has("layer_0/attention/projection");
    map.check(isFavor, "there is no projection_matrix: no_projection=True cannot be imported");
    int headSize = map.size("layer_0/attention/projection", 2, 1);
    int width = map.size("layer_0/attention/query/kernel", 2, 1);
    map.check(width % headSize == 0, "width %s does not split into heads of %s", width, headSize);
    int inner = map.size("layer_0/mlp/in/kernel", 2, 1);
    boolean hasGate = inner != map.size("layer_0/mlp/out/kernel", 2, 0);
    map.check(!hasGate, "the MLP has a gate (ff_glu=True), which cannot be expressed");
    FavorConfig favor = favor(map, headSize);
    boolean isTied = !map.has("head/logits/kernel");
    var config = new ConfigBuilder("performer", map).put("heads", width / headSize);
    config
        .put("task", favor.causal() ? "causal-lm" : "masked-lm", "headSize", headSize)
        .put("activation", "gelu-erf", "normalization.position", "pre")
        .put("normalization.epsilon", 1e-5, "normalization.formula", "two-pass")
        .put("normalization.embeddings", false)
        .put("normalization.last", map.has("final_norm/scale"))
        .put("positions", map.has("embeddings/position") ? "learned" : "none")
        .put("attentionBias", true, "padId", null, "shiftBos", null, "tiedOutput", isTied)
        .put("headTransform", false, "pooler", false, "classes", 0)
        .put("attention", new AttentionConfig.Favor(favor));
    map.zeros = "layer_\\d+/attention/.*/bias|head/logits/bias";
    if (isTied) {
      map.note("no to_out in the file: logits use the table of tokens (tie_embed=True)");
    }
    return map.finish(config.build(map.options.config()));
  }

  private static FavorConfig favor(WeightMap map, int headSize) {
    FavorKeys options = map.options.favor();
    Kernel given = options.kernel();
    Kernel kernel = given == null ? Kernel.DEFAULT : given;
    String wrong =
        "the kernel is one of %s, with generalized_attention=True if it is no softmax; not %s";
    boolean isKnown = kernel.nameIn(Code.PERFORMER_PYTORCH).isPresent();
    map.check(isKnown, wrong, Kernel.allNames(Code.PERFORMER_PYTORCH), kernel);
    boolean isCausal = Boolean.TRUE.equals(options.causal());
    if (options.causal() == null || given == null) {
      String assumed = "kernel and causality are not in the file: assumed kernel %s, %s";
      map.note(assumed, kernel, isCausal ? "causal" : "not causal");
    }
    // Its generalized features are relu(x D^(-1/4) Pᵀ) + 0.001. Attention does not change when they
    // are multiplied by D^(1/4), which relu lets through and the constant takes up.
    double epsilon = kernel.isSoftmax() ? 1e-4 : 1e-3 * Math.pow(headSize, 0.25);
    return FavorConfig.builder()
        .kernel(kernel)
        .convention(Convention.GOOGLE_JAX)
        .causal(isCausal)
        .features(map.size("layer_0/attention/projection", 2, 0))
        .epsilon(epsilon)
        .build();
  }

  private static void place(WeightMap map, String tensor) {
    if (tensor.contains("proj_updater.")) {
      map.ignore(tensor); // the same network again, and when it was redrawn
      return;
    }
    String known = "there are %s, which is not known here: %s";
    VARIANTS.forEach((part, what) -> map.check(!tensor.matches(part), known, what, tensor));
    NAMES.place(map, tensor, tensor);
  }
}
