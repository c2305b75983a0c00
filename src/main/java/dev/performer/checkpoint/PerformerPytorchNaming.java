package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.data.NpyArray;
import dev.performer.model.AttentionConfig;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * {@code PerformerLM} of the package performer-pytorch. Its projections are in the file. Kernel and
 * causality are not: its defaults are softmax and not causal.
 */
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
  public String label() {
    return "performer-pytorch";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return file.tensors().keySet().stream()
        .anyMatch(n -> n.contains(PROJECTION) || n.matches("(.*\\.)?net\\..*\\.to_q\\.weight"));
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    refuseVariants(file);
    WeightMap map = new WeightMap(file);
    for (String tensor : file.tensors().keySet()) {
      if (isRepetition(tensor)) {
        map.ignore(tensor);
      } else {
        NAMES.place(map, tensor, tensor);
      }
    }
    int headSize = map.size("layer_0/attention/projection", 2, 1);
    int width = map.size("layer_0/attention/query/kernel", 2, 1);
    require(
        width % headSize == 0,
        "%s: queries of width %s do not split into heads of %s",
        file.path(),
        width,
        headSize);
    require(
        map.size("layer_0/mlp/in/kernel", 2, 1) == map.size("layer_0/mlp/out/kernel", 2, 0),
        "%s: the MLP has a gate (ff_glu=True), which cannot be expressed",
        file.path());
    FavorConfig favor = favor(map, options, headSize);
    boolean isTied = !map.has("head/logits/kernel");
    Map<String, Object> normalization =
        new TreeMap<>(Map.of("position", "pre", "epsilon", 1e-5, "formula", "two-pass"));
    normalization.put("embeddings", false);
    normalization.put("last", map.has("final_norm/scale"));
    ConfigBuilder config =
        new ConfigBuilder("performer", map)
            .put("task", favor.causal() ? "causal-lm" : "masked-lm")
            .put("heads", width / headSize)
            .put("headSize", headSize)
            .put("activation", "gelu-erf")
            .put("normalization", normalization)
            .put("positions", map.has("embeddings/position") ? "learned" : "none")
            .put("attentionBias", true)
            .put("padId", null)
            .put("shiftBos", null)
            .put("tiedOutput", isTied)
            .put("headTransform", false)
            .put("pooler", false)
            .put("classes", 0)
            .put("attention", new AttentionConfig.Favor(favor));
    giveZeros(map, width / headSize, headSize);
    if (isTied) {
      map.note("no to_out in the file: logits use the table of tokens (tie_embed=True)");
    }
    return map.finish(label(), config.build(options.config()), options);
  }

  private static FavorConfig favor(WeightMap map, ImportOptions options, int headSize) {
    Kernel given = options.favor().kernel();
    Kernel kernel = given == null ? Kernel.DEFAULT : given;
    require(
        kernel.nameIn(Code.PERFORMER_PYTORCH).isPresent(),
        "%s: the kernel is one of %s, with generalized_attention=True if it is no softmax; not %s",
        map.path(),
        Kernel.allNames(Code.PERFORMER_PYTORCH),
        kernel);
    boolean isCausal = Boolean.TRUE.equals(options.causal());
    if (options.causal() == null || given == null) {
      map.note(
          "kernel and causality are not in the file: assumed kernel %s, %s"
              .formatted(kernel, isCausal ? "causal" : "not causal"));
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

  /** What a dense layer without bias adds is 0. */
  private static void giveZeros(WeightMap map, int heads, int headSize) {
    int tokens = map.size("embeddings/token", 2, 0);
    int width = map.size("embeddings/token", 2, 1);
    for (int i = 0; i < map.layers(); i++) {
      String attention = "layer_" + i + "/attention/";
      for (String part : List.of("query", "key", "value")) {
        giveZeros(map, attention + part + "/bias", heads, headSize);
      }
      giveZeros(map, attention + "output/bias", width);
    }
    giveZeros(map, "head/logits/bias", tokens);
  }

  private static void giveZeros(WeightMap map, String variable, long... shape) {
    if (!map.has(variable)) {
      int size = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
      map.give(variable, NpyArray.of(new float[size], shape));
    }
  }

  /** The same network again, and when it was redrawn. */
  private static boolean isRepetition(String tensor) {
    return tensor.contains("proj_updater.");
  }

  private static void refuseVariants(WeightFile file) {
    Set<String> tensors = file.tensors().keySet();
    for (String tensor : tensors) {
      VARIANTS.forEach(
          (part, what) -> {
            boolean isVariant = tensor.matches(part) && !isRepetition(tensor);
            String wrong = "%s has %s, which cannot be expressed: %s";
            require(!isVariant, wrong, file.path(), what, tensor);
          });
    }
    require(
        NAMES.knows(tensors, "embeddings/token"),
        "%s has layers of performer-pytorch but no token_emb: only a PerformerLM is a whole model",
        file.path());
    require(
        tensors.stream().anyMatch(tensor -> tensor.endsWith(PROJECTION)),
        "%s has no projection_matrix: attention without one (no_projection=True) cannot be"
            + " expressed",
        file.path());
  }
}
