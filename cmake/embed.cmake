# embed_files(TARGET BASE_DIR FILES...)
# Puts FILES (paths relative to BASE_DIR) into TARGET's read-only data and registers them under these relative
# paths in the table that base/resources.h reads.
function(embed_files target base_dir)
  set(asm "${CMAKE_CURRENT_BINARY_DIR}/${target}_resources.S")
  set(table "${CMAKE_CURRENT_BINARY_DIR}/${target}_resources.cpp")
  set(asm_text ".section .rodata\n")
  set(declarations "")
  set(rows "")
  set(index 0)
  set(paths "")
  foreach(file IN LISTS ARGN)
    set(symbol "${target}_resource_${index}")
    string(APPEND asm_text ".balign 64\n.global ${symbol}_begin\n${symbol}_begin:\n.incbin \"${base_dir}/${file}\"\n"
                           ".global ${symbol}_end\n${symbol}_end:\n.byte 0\n")
    string(APPEND declarations "extern \"C\" const char ${symbol}_begin[];\nextern \"C\" const char ${symbol}_end[];\n")
    string(APPEND rows "    {\"${file}\", ${symbol}_begin, ${symbol}_end},\n")
    list(APPEND paths "${base_dir}/${file}")
    math(EXPR index "${index} + 1")
  endforeach()
  string(APPEND asm_text ".section .note.GNU-stack,\"\",@progbits\n")
  file(CONFIGURE OUTPUT "${asm}" CONTENT "${asm_text}" @ONLY)
  file(CONFIGURE OUTPUT "${table}" CONTENT
"#include \"base/resources.h\"

${declarations}
namespace touchstone {
const std::vector<EmbeddedFile>& embedded_files() {
  static const std::vector<EmbeddedFile> files = {
${rows}  };
  return files;
}
}  // namespace touchstone
" @ONLY)
  set_source_files_properties("${asm}" PROPERTIES OBJECT_DEPENDS "${paths}")
  target_sources(${target} PRIVATE "${asm}" "${table}")
endfunction()
