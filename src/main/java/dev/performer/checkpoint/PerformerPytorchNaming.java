package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.Kernel.Code;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.data.NpyArray;
import dev.performer.model.AttentionConfig;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * {@code PerformerLM} of the package performer-pytorch. Its projections are in the file. Kernel and
 * causality are not: its defaults are softmax and not causal.
 */
final class PerformerPytorchNaming implements NamingScheme {
  private static final Pattern LAYER =
      Pattern.compile("(?:.*\\.)?net\\.(?:layers\\.)+(\\d{1,6})\\.([01])\\.(.+)\\.(\\w+)");
  private static final String PROJECTION = "fast_attention.projection_matrix";
  private static final String SCALE = ".g";
  private static final Map<String, String> ATTENTION =
      Map.of(
          "norm", "attention_norm",
          "fn.to_q", "attention/query",
          "fn.to_k", "attention/key",
          "fn.to_v", "attention/value",
          "fn.to_out", "attention/output");
  private static final Map<String, String> MLP =
      Map.of(
          "norm", "mlp_norm",
          "fn.fn.w1", "mlp/in",
          "fn.fn.w2", "mlp/out",
          "fn.w1", "mlp/in",
          "fn.w2", "mlp/out");
  private static final Map<String, String> REST =
      Map.of(
          "token_emb.weight", "embeddings/token",
          "token_emb.emb.weight", "embeddings/token",
          "pos_emb.weight", "embeddings/position",
          "pos_emb.emb.weight", "embeddings/position",
          "norm.weight", "final_norm/scale",
          "norm.bias", "final_norm/bias",
          "to_out.weight", "head/logits/kernel",
          "to_out.bias", "head/logits/bias");

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
    file.tensors().keySet().forEach(tensor -> place(map, tensor));
    int features = map.size("layer_0/attention/projection", 2, 0);
    int headSize = map.size("layer_0/attention/projection", 2, 1);
    int width = map.size("layer_0/attention/query/kernel", 2, 1);
    if (width % headSize != 0) {
      throw new PerformerException(
          file.path() + ": queries of width " + width + " do not split into heads of " + headSize);
    }
    if (map.size("layer_0/mlp/in/kernel", 2, 1) != map.size("layer_0/mlp/out/kernel", 2, 0)) {
      throw new PerformerException(
          file.path() + ": the MLP has a gate (ff_glu=True), which cannot be expressed");
    }
    boolean isCausal = Boolean.TRUE.equals(options.causal());
    Kernel kernel = options.favor().kernel() == null ? Kernel.DEFAULT : options.favor().kernel();
    if (kernel.nameIn(Code.PERFORMER_PYTORCH).isEmpty()) {
      throw new PerformerException(
          "%s: the kernel is one of %s, with generalized_attention=True if it is no softmax; not %s"
              .formatted(file.path(), Kernel.allNames(Code.PERFORMER_PYTORCH), kernel));
    }
    if (options.causal() == null || options.favor().kernel() == null) {
      map.note(
          "kernel and causality are not in the file: assumed kernel "
              + kernel
              + (isCausal ? ", causal" : ", not causal"));
    }
    boolean isTied = !map.has("head/logits/kernel");
    boolean hasPositions = map.has("embeddings/position");
    ConfigBuilder builder =
        new ConfigBuilder(file, "performer")
            .putSizes(map)
            .put("task", isCausal ? "causal-lm" : "masked-lm")
            .put("heads", width / headSize)
            .put("headSize", headSize)
            .put("activation", "gelu-erf")
            .put(
                "normalization",
                Map.of(
                    "position",
                    "pre",
                    "epsilon",
                    1e-5,
                    "formula",
                    "two-pass",
                    "embeddings",
                    false,
                    "last",
                    map.has("final_norm/scale")))
            .put("positions", hasPositions ? "learned" : "none")
            .put("attentionBias", true)
            .put("padId", null)
            .put("shiftBos", null)
            .put("tiedOutput", isTied)
            .put("headTransform", false)
            .put("pooler", false)
            .put("classes", 0)
            .putAttention(
                new AttentionConfig.Favor(
                    FavorConfig.builder()
                        .kernel(kernel)
                        .convention(Convention.GOOGLE_JAX)
                        .causal(isCausal)
                        .features(features)
                        .epsilon(epsilon(kernel, headSize))
                        .build()));
    giveZeros(map, file, isTied);
    return map.finish(label(), builder.config(options), options.allowMissing());
  }

  /**
   * Its generalized features are {@code relu(x D^(-1/4) Pᵀ) + 0.001}. Attention does not change
   * when they are multiplied by {@code D^(1/4)}, which relu lets through and the constant takes up.
   */
  private static double epsilon(Kernel kernel, int headSize) {
    return kernel.isSoftmax() ? 1e-4 : 1e-3 * Math.pow(headSize, 0.25);
  }

  /** What a dense layer without bias adds is 0. */
  private static void giveZeros(WeightMap map, WeightFile file, boolean isTied) {
    int headSize = map.size("layer_0/attention/projection", 2, 1);
    int width = map.size("layer_0/attention/query/kernel", 2, 1);
    for (int i = 0; i < map.layers(); i++) {
      String attention = "layer_" + i + "/attention/";
      for (String part : List.of("query", "key", "value")) {
        if (!map.has(attention + part + "/bias")) {
          map.give(
              attention + part + "/bias",
              NpyArray.of(new float[width], width / headSize, headSize));
        }
      }
      if (!map.has(attention + "output/bias")) {
        int size = map.size("embeddings/token", 2, 1);
        map.give(attention + "output/bias", NpyArray.of(new float[size], size));
      }
    }
    if (!map.has("head/logits/bias")) {
      int tokens = map.size("embeddings/token", 2, 0);
      map.give("head/logits/bias", NpyArray.of(new float[tokens], tokens));
    }
    if (isTied) {
      map.note("no to_out in the file: logits use the table of tokens (tie_embed=True)");
    }
  }

  private static void place(WeightMap map, String tensor) {
    if (tensor.contains("proj_updater.")) {
      map.ignore(tensor); // the same network again, and when it was redrawn
      return;
    }
    String rest = REST.get(tensor);
    if (rest != null) {
      map.put(rest, tensor, rest.startsWith("embeddings/") ? Layout.SAME : Layout.LINEAR);
      return;
    }
    Matcher layer = LAYER.matcher(tensor);
    if (!layer.matches()) {
      return;
    }
    String prefix = "layer_" + Integer.parseInt(layer.group(1)) + "/";
    boolean isAttention = layer.group(2).equals("0");
    if (isAttention && tensor.endsWith(PROJECTION)) {
      map.put(prefix + "attention/projection", tensor, Layout.SAME);
      return;
    }
    String place = (isAttention ? ATTENTION : MLP).get(layer.group(3));
    String weight = layer.group(4);
    if (place != null && (weight.equals("weight") || weight.equals("bias"))) {
      String ours = weight.equals("bias") ? "/bias" : place.endsWith("norm") ? "/scale" : "/kernel";
      map.put(prefix + place + ours, tensor, Layout.LINEAR);
    }
  }

  private static void refuseVariants(WeightFile file) {
    Map<String, String> variants =
        Map.of(
            "layer_pos_emb",
            "rotary positions beside absolute ones (rotary_position_emb=True)",
            "net.blocks.",
            "reversible layers (reversible=True)",
            "local_attn",
            "local attention heads (local_attn_heads above 0)",
            "axial",
            "axial positions",
            SCALE,
            "ScaleNorm or ReZero (use_scalenorm, use_rezero)");
    for (String tensor : file.tensors().keySet()) {
      variants.forEach(
          (part, what) -> {
            boolean has = part.equals(SCALE) ? tensor.endsWith(SCALE) : tensor.contains(part);
            if (has && !tensor.contains("proj_updater.")) {
              throw new PerformerException(
                  file.path() + " has " + what + ", which cannot be expressed: " + tensor);
            }
          });
    }
    if (!file.tensors().containsKey("token_emb.weight")
        && !file.tensors().containsKey("token_emb.emb.weight")) {
      throw new PerformerException(
          file.path()
              + " has layers of performer-pytorch but no token_emb: only a PerformerLM is a whole"
              + " model");
    }
    if (file.tensors().keySet().stream().noneMatch(tensor -> tensor.endsWith(PROJECTION))) {
      throw new PerformerException(
          file.path()
              + " has no projection_matrix: attention without one (no_projection=True) cannot be"
              + " expressed");
    }
  }
}
