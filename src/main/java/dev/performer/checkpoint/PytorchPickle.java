package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.nio.file.Path;

/** PyTorch's pickles: programs, which are never run, but recognized to tell what to do. */
final class PytorchPickle {
  private static final int PROTOCOL = 0x80; // the first opcode of every pickle since protocol 2

  private PytorchPickle() {}

  /** Whether a file is a pickle, or a zip with one inside as {@code torch.save} writes it. */
  static boolean recognizes(Path file) {
    byte[] start = WeightFile.head(file, 2);
    if (start.length == 2 && start[0] == (byte) PROTOCOL) {
      return start[1] >= 1 && start[1] <= 5;
    }
    return WeightFile.isZipWith(file, name -> name.matches("(.*/)?data\\.pkl"));
  }

  /** The refusal, with the Python line that makes a file that is read. */
  static PerformerException refusal(Path file) {
    String from = file.getFileName().toString().replace("'", "\\'");
    String to = from.replaceFirst("\\.[^.]*$", "") + ".safetensors";
    return new PerformerException(
        ("%s is a PyTorch pickle, a program that is not run here; turn it into"
                + " safetensors with: python -c \"import torch, safetensors.torch as s; w ="
                + " torch.load('%s', map_location='cpu', weights_only=True); w ="
                + " w.get('state_dict', w); s.save_file({k: v.clone().contiguous() for k, v in"
                + " w.items() if torch.is_tensor(v)}, '%s')\"")
            .formatted(file, from, to));
  }
}
